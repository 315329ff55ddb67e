"""The inline engine: everything in this process, in an order that a seed decides.

Every task and actor call is a greenlet. They run when somebody waits (`get`, `wait`, iterating a generator, `await`), one at a time,
in submission order, or with `init(engine="inline", seed=7)` in another order that is the same at every run. Breakpoints work. What one
process can't do: survive `os._exit` or a crash in a task, run two tasks at once, or go on with other work while a task blocks outside
the API (in `time.sleep` or on a lock).

    engine.py      the contract
    scheduler.py   what runs next; waiting; deadlocks
    fiber.py       the greenlet of a task, and what is switched with it
    calls.py       one task or actor call, and its results
    execute.py     running a call to its end
    actors.py      actors' lives and queues
    waits.py       get, wait, and generators' items
    cancel.py      cancelling
    groups.py      placement groups
    admission.py   starting when resources are free
    inform.py      facts about the session and the task that asks
    values.py      copying values, and the refs inside them
    aio.py         asyncio: an event loop per asyncio actor, and the driver's own
    resources.py   who holds which CPU, GPU or custom resource
"""

from skate.engine.inline.engine import InlineEngine

__all__ = ["InlineEngine"]
