"""Becoming an actor: its class, its arguments, its constructor, and what runs its calls from then on."""

from __future__ import annotations

import inspect
import pickle
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.failure import creation_error, own_repr
from skate.engine.local import protocol
from skate.engine.local.client.running import current_task
from skate.engine.local.worker.execute import Running, arguments, error_payload

if TYPE_CHECKING:
    from skate.engine.local.worker.main import Worker


def host(worker: Worker, key: int, about: tuple[Any, ...], slots: Any, facts: tuple[Any, ...]) -> None:
    """Construct the actor, and tell the node how that went."""
    _number, name, payload, flag, args, concurrency, groups, is_asyncio, meta_pickle, _backpressure = about
    resources, gpus, worker.restarts, worker.actor_name, worker.engine.namespace, where = facts
    worker.lease(resources, gpus, where)
    worker.class_name = name
    meta = pickle.loads(meta_pickle)
    state = worker.engine.restore_actor(key, meta)
    # An actor's handle to itself must not keep it alive: dropping the guard takes back the count that restoring announced.
    state._guard = None
    worker.actor = state
    worker.method_groups = {
        m.name: m.options.concurrency_group for m in meta.methods.values() if m.options.concurrency_group
    }
    worker.groups = set(groups)
    running = Running(worker, None, key, f"{name}.__init__", f"{name}.__init__")
    current_task.set(running)
    error = None
    worker.enter(running)
    try:
        stored = payload if type(payload) is not int else worker.engine.objects.read(payload)
        cls = serialize.unpack(stored)
        positional, named = arguments(worker, flag, args if flag == protocol.ARGS_PLAIN else (args, slots))
        if inspect.iscoroutinefunction(cls.__init__):
            # Python would refuse a constructor that returns a coroutine; its body runs in the actor's own loop.
            worker.instance = cls.__new__(cls, *positional, **named)
            worker.runner().run(cls.__init__(worker.instance, *positional, **named))
        else:
            worker.instance = cls(*positional, **named)
        del positional, named
        worker.shown_name = own_repr(worker.instance) or ""
    except BaseException as failure:
        error = _creation_error(worker, key, name, failure)
    finally:
        worker.leave(running)
    current_task.set(None)
    if worker.engine.objects.borrowed():
        worker.engine.ask(protocol.SYNC)
    worker.engine.tell(protocol.ACTOR_READY, key, error, worker.shown_name)
    if error is not None:
        return
    if is_asyncio:
        from skate.engine.local.worker.coroutines import AsyncActor

        worker.coroutines = AsyncActor(worker, concurrency, groups)
    elif concurrency > 1 or groups:
        from skate.engine.local.worker.threaded import Answers, Pool

        worker.pools = {group: Pool(worker, size, group) for group, size in groups.items()}
        worker.pools[""] = Pool(worker, concurrency, "calls")
        worker.answers = Answers(worker)


def _creation_error(worker: Worker, key: int, name: str, failure: BaseException) -> Any:
    inner = serialize.unpack(error_payload(worker, f"{name}.__init__", failure, key))
    try:
        died = creation_error(failure, inner, name, key.to_bytes(16, "big").hex())
        return serialize.pack(died).inline()
    except Exception as problem:
        text = f"The {name} actor's constructor raised {type(failure).__name__}: {failure} ({problem})"
        return serialize.pack(
            exceptions.ActorDiedError(exceptions.ActorDiedErrorContext(error_message=text))
        ).inline()
