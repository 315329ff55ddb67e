"""Refs as futures of one Dask client: in the driver for itself, in a Dask worker for the processes that run user code there.

Everything here runs in the event loop of the Dask client. An engine is known by its *port*: how it is spoken to. A ref lives in
the hub for as long as a port has it, or something that is under way needs it. What the scheduler is told travels in one stream, in
order; only questions go beside it, and the registry lets those wait that are ahead of the stream.

items.py       a ref, an actor, a port
holdings.py    which refs and actors there are, and for whom
graph.py       what is sent to the scheduler next
outcomes.py    how refs get their values, and who is told
generators.py  items of generators
cancels.py     cancelling
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from dask._task_spec import Task, TaskRef
from distributed import Client, Future

from skate import exceptions
from skate.engine.dask import remote
from skate.engine.dask.blob import Blob, Name, error_blob, infrastructure
from skate.engine.dask.calls import Placed, inside
from skate.engine.dask.cancels import Cancels
from skate.engine.dask.generators import Generators
from skate.engine.dask.graph import Graph
from skate.engine.dask.holdings import Holdings
from skate.engine.dask.outcomes import Outcomes
from skate.engine.dask.stock import removed

if TYPE_CHECKING:
    from skate.engine.dask.calls import ActorSpec, Call
    from skate.engine.dask.items import Entry, Interest, Port

_GLANCE = 0.2  # seconds between looks whether the scheduler is there
_LITERAL = 64 * 1024  # a blob of up to this many bytes may travel inside a graph


class Hub:
    """Takes care of the refs of its ports."""

    def __init__(self, client: Client, worker: Any = None) -> None:
        self.client = client
        self.worker = worker
        """The Dask worker of this process, if there is one: its data are read in place."""
        self.ports: set[Port] = set()
        self.ended = ""
        self.on_print: Callable[[str, str, int, str], None] = lambda *_: None
        self.holdings = Holdings(self)
        self.graph = Graph(self)
        self.outcomes = Outcomes(self)
        self.generators = Generators(self)
        self.cancels = Cancels(self)
        self._publishing = 0
        self._queue: deque[tuple[Port, tuple[Any, ...]]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handlers: dict[str, Callable[..., None]] = {
            "task": self._submit,
            "call": self._submit,
            "put": self._put,
            "put_inside": self._put_inside,
            "want": self.outcomes.want,
            "drop": self.holdings.drop,
            "adopt": self.holdings.adopt,
            "adopt_new": self.holdings.adopt_new,
            "create": self._create,
            "cancel": self.cancels.cancel,
            "taken": self.generators.taken,
            "drop_stream": self.generators.drop,
            "pin": self.holdings.pin,
            "ask": self._ask,
        }

    def handle(self, port: Port, message: tuple[Any, ...]) -> None:
        """A port has something to say."""
        self.ports.add(port)
        if self._publishing or self._queue:
            self._queue.append((port, message))  # it may be about a value that Dask has not heard of yet
        else:
            self._handlers[message[0]](port, *message[1:])

    def _handle_queue(self) -> None:
        while self._queue and not self._publishing:
            port, message = self._queue.popleft()
            self._handlers[message[0]](port, *message[1:])

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something beside the loop."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def registry(self, op: str, *args: Any) -> Any:
        """Ask the registry.

        Raises:
            RaySystemError: the scheduler is gone.
        """
        self.graph.flush()
        payload = pickle.dumps((op, self.client.id, args), protocol=5)
        try:
            answer = await self.client.scheduler.skate(payload=payload)
        except (OSError, TimeoutError) as error:
            raise exceptions.RaySystemError(
                f"the Dask scheduler at {self.client.scheduler.address} can't be reached: {error}"
            ) from error
        fine, value = pickle.loads(answer)
        if not fine:
            raise value
        return value

    # -- submitting ----------------------------------------

    def _submit(self, port: Port, call: Call, beside: list[int], nested: tuple[Name, ...]) -> None:
        call.caller = self.client.id
        entries = [self.holdings.entry(key) for key in call.outputs()] or [self.holdings.entry(call.key)]
        main = entries[0]
        for entry in entries if call.outputs() else ():
            entry.ports[port] += 1
        main.submitter = port
        main.call = call
        if call.returns == "streaming":
            self.generators.open[call.key] = (port, "")
            main.wanted.add(port)
        args: list[Any] = []
        held: list[Entry | Interest] = []
        deps: list[Entry] = []
        for key in beside:
            entry = self.holdings.entry(key)
            held.append(entry)
            deps.append(entry)
            args.append(entry.blob if entry.blob is not None else TaskRef(remote.name_of(key)))
        held += [self.holdings.item(name) for name in nested]
        many = isinstance(call.returns, int) and call.returns > 1
        for entry in entries:
            entry.held = held
            entry.deps = deps
            entry.needed += 1  # until it has ended: tasks run even if nobody looks at what they make
            self.holdings.need(held)
        if self.ended:
            for entry in entries:
                self.outcomes.fail(entry, exceptions.RaySystemError(f"the session has ended: {self.ended}"))
            return
        name = remote.name_of(call.key)
        function = remote.call_actor if call.actor else remote.run_task
        group = (
            *sorted(call.demand.items()),
            ("retries", call.retries),
            ("nodes", call.nodes),
            ("call", bool(call.actor)),
        )
        if many:
            whole = f"{name}-all"
            self.graph.add(group, whole, Task(whole, function, call, *args))
            for index, entry in enumerate(entries):
                part = remote.name_of(entry.key)
                self.graph.add(group, part, Task(part, remote.pick, TaskRef(whole), index))
        else:
            self.graph.add(group, name, Task(name, function, call, *args))

    def _put(self, port: Port, key: int, blob: Blob) -> None:
        entry = self.holdings.entry(key)
        entry.ports[port] += 1
        if self.ended:
            entry.blob, entry.done = blob, True
            return
        entry.needed += 1
        if blob.nested:
            entry.held = [self.holdings.item(name) for name in blob.nested]
            self.holdings.need(entry.held)
        if blob.size() <= _LITERAL and not blob.nested:
            name = remote.name_of(key)
            self.graph.add((), name, Task(name, remote.keep, blob))
            return
        self._publishing += 1
        self.holdings.adopting()
        self.start(self._scatter(entry, blob))

    def _put_inside(self, port: Port, key: int, blob: Blob, group: str) -> None:
        """A value that is there once a placement group is: Dask keeps it where the group's bundles are."""
        entry = self.holdings.entry(key)
        entry.ports[port] += 1
        entry.needed += 1
        if self.ended:
            self.outcomes.fail(entry, exceptions.RaySystemError(f"the session has ended: {self.ended}"))
            return
        demand = inside({}, Placed(group, -1, False))
        name = remote.name_of(key)
        self.graph.add(tuple(demand.items()), name, Task(name, remote.keep, blob))

    async def _scatter(self, entry: Entry, blob: Blob) -> None:
        """Store a large value on a Dask worker, and say what is inside."""
        name = remote.name_of(entry.key)
        try:
            self.graph.flush()
            await self.client._scatter({name: blob}, hash=False, direct=True, local_worker=self.worker)
            entry.future = Future(name, self.client, state="memory")
            if blob.nested:
                await self.registry("contain", [(name, blob.nested)])
        except Exception as error:
            entry.blob = error_blob(infrastructure(error))
        finally:
            self._publishing -= 1
            self.holdings.adopted()
        self.outcomes.ended(entry)
        self._handle_queue()

    # -- actors ----------------------------------------

    def _create(self, _port: Port, spec: ActorSpec, unplaced: str) -> None:
        self.start(self._create_actor(spec, unplaced))

    async def _create_actor(self, spec: ActorSpec, unplaced: str) -> Any:
        held: list[Entry | Interest] = [self.holdings.entry(key) for key in spec.deps]
        held += [self.holdings.item(name) for name in spec.nested]
        interest = self.holdings.actors.get(spec.key)
        self.holdings.need(held)
        if interest is not None:
            interest.needed += 1
            held.append(interest)
        literals = {
            key: entry.blob
            for key in spec.deps
            if (entry := self.holdings.entry(key)).blob is not None and entry.done
        }
        try:
            return await self.registry("create", spec, unplaced, literals)
        except exceptions.RaySystemError as error:
            self.end(str(error))
            raise
        finally:
            self.holdings.release(held)

    # -- events ----------------------------------------

    async def listen(self) -> None:
        """Hear what Dask workers and the registry have to tell this hub."""
        self.client.subscribe_topic(remote.topic_of(self.client.id), lambda event: self._on_event(*event[1]))

    def _on_event(self, op: str, *args: Any) -> None:
        if op == "item":
            self.generators.on_item(*args)
        elif op == "cancelled":
            self.cancels.cancelled(int(args[0], 16))
        elif op == "unplaced":
            self.cancels.failed(int(args[0], 16), removed(args[1]))
        elif op == "print":
            self.on_print(*args)
        elif op == "warn":
            logging.getLogger("skate").warning("%s", args[0])

    def forget_port(self, port: Port) -> None:
        """An engine has ended: what it had, it has no more."""
        self.ports.discard(port)
        self.holdings.forget_port(port)
        self.generators.forget_port(port)

    # -- questions ----------------------------------------

    def _ask(self, port: Port, number: int, op: str, args: tuple[Any, ...]) -> None:
        self.start(self._answer(port, number, op, args))

    async def _answer(self, port: Port, number: int, op: str, args: tuple[Any, ...]) -> None:
        try:
            value = await (self._create_actor(*args) if op == "create" else self.registry(op, *args))
        except Exception as error:
            port.deliver(("answer", number, False, error))
        else:
            port.deliver(("answer", number, True, value))

    async def guard(self) -> None:
        """End the session when the scheduler is gone: what it knew is gone with it."""
        while self.client.status == "running":
            await asyncio.sleep(_GLANCE)
        self.end(
            f"the Dask scheduler at {self.client.scheduler.address} went away. Call skate.shutdown(), then init() again."
        )

    def end(self, why: str) -> None:
        """The session is over: whatever waits fails."""
        if self.ended:
            return
        self.ended = why
        for entry in list(self.holdings.entries.values()):
            if not entry.done:
                self.outcomes.fail(entry, exceptions.RaySystemError(f"the session has ended: {why}"))
        for port in self.ports:
            port.deliver(("ended", why))

    async def close(self) -> None:
        """Stop what is under way."""
        self.end("the session was shut down.")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.holdings.entries.clear()
