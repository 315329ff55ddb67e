"""One task or actor call: its arguments, its function, its result."""

from __future__ import annotations

import os
import sys
import time
import types
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorHandle, ActorState
from skate.core.ref import BYTES, ERROR, STORED, VALUE, DynamicObjectRefGenerator, ObjectRef
from skate.engine.local import protocol, wire
from skate.engine.local.client.calls import NESTED, unpack_args
from skate.engine.local.client.running import current_task
from skate.engine.local.worker import breakpoints, ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.core.task_info import TaskInfo
    from skate.engine.local.worker.main import Worker


class Running:
    """What runs now, in this thread or coroutine."""

    __slots__ = ("cancelled", "conn", "function_name", "key", "name", "started", "thread", "waits", "worker")

    def __init__(
        self, worker: Worker, conn: wire.Conn | None, key: int, function_name: str, name: str
    ) -> None:
        self.worker = worker
        self.conn = conn
        self.key = key
        self.function_name = function_name
        self.name = name
        self.cancelled = False
        self.started = 0.0
        self.thread = 0
        self.waits = 0

    def describe(self, info: TaskInfo) -> None:
        """Tell `get_runtime_context()` what is known here."""
        worker = self.worker
        info.mode = "worker" if worker.actor is None else "actor"
        info.task_id = ObjectRef(self.key).task_id().hex()
        info.task_name = self.name
        info.function_name = self.function_name
        info.cancelled = self.cancelled
        info.resources = dict(worker.resources)
        info.gpu_ids = list(worker.gpus)
        place = worker.engine.groups.current
        if place is not None:
            info.placement_group_id = place[2]
            info.captures_children = place[4]
        info.runtime_env = worker.runtime_env
        if worker.actor is not None:
            info.actor = worker.actor
            info.actor_name = worker.actor_name
            info.restarted = worker.restarts > 0


def arguments(worker: Worker, flag: int, args: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a message."""
    if flag == protocol.ARGS_PLAIN:
        return args, {}
    payload, slots = args
    values = None
    if slots:
        values = [_slot(worker, kind, value) for kind, value in slots]
    if flag == protocol.ARGS_REFS:
        plain, positions = payload
        given = list(plain)
        for index, value in zip(positions, values or (), strict=True):
            given[index] = value
        return tuple(given), {}
    if flag == protocol.ARGS_STORED:
        payload = worker.engine.objects.read(payload)
    return unpack_args(flag, payload, values)


def _slot(worker: Worker, kind: int, value: Any) -> Any:
    if kind == VALUE:
        return value
    if kind == BYTES:
        return serialize.unpack(value)
    if kind == NESTED:
        return serialize.unpack(value[0])
    if kind == ERROR:
        error = serialize.unpack(value)
        raise error.as_instanceof_cause() if isinstance(error, exceptions.RayTaskError) else error
    if kind == STORED:
        objects = worker.engine.objects
        one_by_one = not worker.pools and worker.coroutines is None
        return serialize.unpack(objects.read_again(value) if one_by_one else objects.read(value))
    raise exceptions.RaySystemError(f"an argument arrived in an unknown form ({kind}).")


def result(worker: Worker, caller: int, key: int, value: Any) -> tuple[int, Any]:
    """A value as it is sent back: (kind, payload)."""
    kind = type(value)
    if kind in serialize.PLAIN and not (kind in (str, bytes) and len(value) > serialize.INLINE_LIMIT):
        return VALUE, value
    packed = serialize.pack(value)
    engine = worker.engine
    if packed.size() > serialize.INLINE_LIMIT:
        engine.objects.store(key, packed)
        with engine.loop.mutex:
            engine.node.send((protocol.COUNT_FOR, caller, [(key, 1)]))
            engine.objects.drops.append(key)
        return STORED, None
    if packed.nested:
        keys = engine.objects.escape(packed.nested)
        with engine.loop.mutex:
            engine.node.send((protocol.COUNT_FOR, caller, [(k, 1) for k in keys]))
        return NESTED, (packed.inline(), keys)
    return BYTES, packed.inline()


def error_payload(worker: Worker, name: str, error: BaseException) -> Any:
    """An exception as it is sent back: the pickle of a RayTaskError around it."""
    text = _traceback_text(error)
    cause: BaseException = error
    if isinstance(error, exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, BaseException) else error
    actor_id = None if worker.actor is None else worker.actor.key.to_bytes(16, "big").hex()
    wrapped = exceptions.RayTaskError(
        name,
        text,
        cause,
        pid=os.getpid(),
        ip="127.0.0.1",
        actor_repr=None if worker.instance is None else _safe_repr(worker.instance),
        actor_id=actor_id,
    )
    try:
        packed = serialize.pack(wrapped)
        serialize.unpack(packed.inline())
    except Exception as failure:
        substitute = exceptions.RaySystemError(
            f"the task raised {type(error).__name__}: {error}, which can't be pickled: {type(failure).__name__}: {failure}."
        )
        wrapped = exceptions.RayTaskError(
            name, text, substitute, pid=os.getpid(), ip="127.0.0.1", actor_id=actor_id
        )
        packed = serialize.pack(wrapped)
    if packed.nested:
        worker.engine.objects.escape(packed.nested)
        worker.engine.objects.pinned.extend(packed.nested)
    return packed.inline()


def _traceback_text(error: BaseException) -> str:
    import traceback

    # The frames of this package above the user's function say nothing to the user.
    trace = error.__traceback__
    while (
        trace is not None
        and os.sep + os.path.join("skate", "engine") + os.sep in trace.tb_frame.f_code.co_filename
    ):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _safe_repr(instance: Any) -> str | None:
    cls: Any = type(instance)
    if cls.__repr__ is object.__repr__:
        return None
    try:
        return repr(instance)[:200]
    except Exception:
        return None


class Execution:
    """Running one message and answering it."""

    def __init__(self, worker: Worker, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        self.worker = worker
        self.conn = conn
        _op, self.key, self.target, self.flag, self.args, self.num_returns, self.extra = message
        self.started = time.monotonic()

    def begin(self) -> Running:
        """Say that it runs."""
        worker = self.worker
        if worker.instance is None:
            name = worker.function_names.get(self.target, "task")
        else:
            name = f"{worker.class_name}.{self.target}"
        shown = name if self.extra is None else self.extra.get("name") or name
        running = Running(worker, self.conn, self.key, name, shown)
        running.started = self.started
        current_task.set(running)
        return running

    def function(self) -> Callable[..., Any]:
        """What is to be run."""
        worker = self.worker
        return worker.function(self.target) if worker.instance is None else worker.method(self.target)

    def run(self) -> None:
        """Run a plain function to its end, and answer."""
        worker = self.worker
        running = self.begin()
        try:
            function = self.function()
            worker.enter(running)
            try:
                args, kwargs = arguments(worker, self.flag, self.args)
                value = function(*args, **kwargs)
                del args, kwargs
                self.args = None
                answer = self.answer(value)
                del value
            finally:
                worker.leave(running)
        except BaseException as error:
            answer = self.failure(running, error)
        current_task.set(None)
        worker.reply(self.conn, answer)

    def answer(self, value: Any) -> tuple[Any, ...]:
        """The message that answers with `value`."""
        worker = self.worker
        caller: int = self.conn.peer
        returns = self.num_returns
        if returns == 1:
            if isinstance(value, types.GeneratorType):
                value = next(value)
            kind, payload = result(worker, caller, self.key, value)
            return (protocol.RESULT, self.key, kind, payload, self.micros(), self.started)
        if returns == "streaming":
            self.stream(value)
            return (protocol.RESULT, self.key, VALUE, None, self.micros(), self.started)
        if returns == "dynamic":
            kind, payload = result(worker, caller, self.key, DynamicObjectRefGenerator(self.collect(value)))
            return (protocol.RESULT, self.key, kind, payload, self.micros(), self.started)
        if returns == 0:
            return (protocol.RESULTS, self.key, [], self.micros(), self.started)
        if isinstance(value, types.GeneratorType):
            return (protocol.RESULTS, self.key, self.some(value, returns), self.micros(), self.started)
        values = list(value) if hasattr(value, "__iter__") or hasattr(value, "__getitem__") else None
        if values is None or len(values) != returns:
            got = f"an object of type {type(value).__name__}" if values is None else f"{len(values)}"
            kind_of_error = TypeError if values is None else ValueError
            raise kind_of_error(
                f"Task returned {got}, but num_returns={returns}: return a sequence of that many values."
            )
        results = [result(worker, caller, self.key + index, item) for index, item in enumerate(values)]
        return (protocol.RESULTS, self.key, results, self.micros(), self.started)

    def collect(self, generator: Any) -> list[ObjectRef[Any]]:
        """All that a generator yields, as refs; an exception is the last of them."""
        engine = self.worker.engine
        refs: list[ObjectRef[Any]] = []
        try:
            for item in generator:
                refs.append(engine.put(item))
        except Exception as error:
            ref: ObjectRef[Any] = ObjectRef(next(engine.keys))
            ref._kind, ref._value = ERROR, error_payload(self.worker, "generator", error)
            refs.append(ref)
        return refs

    def some(self, generator: Any, count: int) -> list[tuple[int, Any]]:
        """The first `count` values of a generator; those that it does not yield are errors."""
        results: list[tuple[int, Any]] = []
        problem: Any = None
        for index in range(count):
            try:
                results.append(result(self.worker, self.conn.peer, self.key + index, next(generator)))
            except StopIteration:
                problem = ValueError(f"the generator yielded {index} values, but num_returns={count}.")
            except Exception as error:
                problem = error
            if problem is not None:
                payload = error_payload(self.worker, "generator", problem)
                results += [(ERROR, payload)] * (count - index)
                break
        generator.close()
        return results

    def stream(self, generator: Any) -> None:
        """Send a generator's items as they come."""
        worker = self.worker
        stream = worker.open_stream(self.conn, self.key, (self.extra or {}).get("backpressure"))
        try:
            for index, item in enumerate(generator):
                kind, payload = result(worker, self.conn.peer, self.key + index + 1, item)
                worker.send_item(self.conn, (protocol.ITEM, self.key, index, kind, payload))
                if not stream.wait_for_room(worker, index + 1):
                    generator.close()
                    return
        finally:
            worker.close_stream(self.key)

    def failure(self, running: Running, error: BaseException) -> tuple[Any, ...]:
        """The message that answers with an exception; some exceptions end the process instead."""
        worker = self.worker
        if running.cancelled and isinstance(error, KeyboardInterrupt):
            cancelled = exceptions.TaskCancelledError(ObjectRef(self.key).task_id())
            return (
                protocol.RESULT,
                self.key,
                ERROR,
                serialize.pack(cancelled).inline(),
                self.micros(),
                self.started,
            )
        if isinstance(error, SystemExit):
            ending.exit_from_code(worker, error)
        if worker.post_mortem and isinstance(error, Exception):
            breakpoints.look_at(worker, error)
        if worker.settings["record"] and worker.actor is None:
            self._record(running, error)
        return (
            protocol.RESULT,
            self.key,
            ERROR,
            error_payload(worker, running.function_name, error),
            self.micros(),
            self.started,
        )

    def _record(self, running: Running, error: BaseException) -> None:
        """Keep a task that has failed, for `skate replay`."""
        from skate.core import recording

        worker = self.worker
        try:
            # Read once more: the function may have changed those it was given.
            args, kwargs = arguments(worker, self.flag, self.args)
            recording.save(
                worker.settings["record"],
                ObjectRef(self.key).task_id().hex(),
                running.name,
                self.function(),
                args,
                kwargs,
                error,
                lambda ref: worker.engine.get([ref], 1.0)[0],
            )
        except Exception as problem:
            import logging

            logging.getLogger("skate").warning(
                "the failed task %s could not be recorded: %s", running.name, problem
            )

    def micros(self) -> int:
        """Run time so far."""
        return int((time.monotonic() - self.started) * 1e6)


def call_on_instance(instance: Any) -> Callable[..., Any]:
    """`__ray_call__`: run a function on the actor's instance."""

    def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(instance, *args, **kwargs)

    return call


__all__ = [
    "ActorHandle",
    "ActorState",
    "Execution",
    "Running",
    "arguments",
    "call_on_instance",
    "error_payload",
    "result",
    "sys",
]
