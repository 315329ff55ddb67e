"""One task or actor call: its arguments, its function, its result."""

from __future__ import annotations

import sys
import time
import types
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import devices, serialize
from skate.core.actor import ActorHandle, ActorState
from skate.core.arguments import pack_result, put_back, several
from skate.core.failure import FailedArgumentError, pack_task_error
from skate.core.ref import BYTES, ERROR, STORED, VALUE, DynamicObjectRefGenerator, ObjectRef
from skate.engine.local import protocol, wire
from skate.engine.local.client.calls import NESTED
from skate.engine.local.client.running import current_task
from skate.engine.local.worker import breakpoints, ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.core.task_info import TaskInfo
    from skate.engine.local.worker.main import Worker


class Running:
    """What runs now, in this thread or coroutine."""

    __slots__ = (
        "cancelled",
        "conn",
        "function_name",
        "key",
        "name",
        "started",
        "target",
        "thread",
        "waits",
        "worker",
    )

    def __init__(
        self,
        worker: Worker,
        conn: wire.Conn | None,
        key: int,
        function_name: str,
        name: str,
        target: int | str = 0,
    ) -> None:
        self.worker = worker
        self.conn = conn
        self.key = key
        self.function_name = function_name
        self.name = name
        self.target = target
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
        info.function_name = f"{self._module()}.{self.function_name}"
        info.cancelled = self.cancelled
        info.resources = dict(worker.resources)
        info.gpu_ids = devices.names(worker.gpus, worker.exposure.named)
        place = worker.engine.groups.current
        if place is not None:
            info.placement_group_id = place[2]
            info.captures_children = place[4]
        info.runtime_env = worker.runtime_env
        if worker.actor is not None:
            info.actor = worker.actor
            info.actor_name = worker.actor_name
            info.restarted = worker.restarts > 0

    def _module(self) -> str:
        worker = self.worker
        if worker.actor is not None:
            return worker.actor.meta.module
        return (
            worker.function_modules.get(self.target, "__main__") if type(self.target) is int else "__main__"
        )


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
    args, kwargs = serialize.unpack(payload)
    return put_back(args, kwargs, values) if values else (args, kwargs)


def _slot(worker: Worker, kind: int, value: Any) -> Any:
    if kind == VALUE:
        return value
    if kind == BYTES:
        return serialize.unpack(value)
    if kind == NESTED:
        return serialize.unpack(value[0])
    if kind == ERROR:
        raise FailedArgumentError.of(value)
    if kind == STORED:
        objects = worker.engine.objects
        one_by_one = not worker.pools and worker.coroutines is None
        return serialize.unpack(objects.read_again(value) if one_by_one else objects.read(value))
    raise exceptions.RaySystemError(f"an argument arrived in an unknown form ({kind}).")


def result(worker: Worker, caller: int, key: int, value: Any, name: str) -> tuple[int, Any]:
    """A value that `name` has returned or yielded, as it is sent back: (kind, payload)."""
    kind = type(value)
    if kind in serialize.PLAIN and not (kind in (str, bytes) and len(value) > serialize.INLINE_LIMIT):
        return VALUE, value
    packed = pack_result(value, name)
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


def error_payload(worker: Worker, name: str, error: BaseException, key: int) -> Any:
    """An exception as it is sent back: the pickle of a RayTaskError around it."""
    packed = pack_task_error(
        error,
        name,
        task_id=ObjectRef(key).task_id(),
        instance=worker.instance,
        actor_id=None if worker.actor is None else worker.actor.key.to_bytes(16, "big").hex(),
    )
    if packed.nested:
        worker.engine.objects.escape(packed.nested)
        worker.engine.objects.pinned.extend(packed.nested)
    return packed.inline()


def cancelled_answer(key: int, micros: int = 0, started: float = 0.0) -> tuple[Any, ...]:
    """The message that answers a call that was cancelled, after so many microseconds if it had begun."""
    error = exceptions.TaskCancelledError(ObjectRef(key).task_id())
    return protocol.RESULT, key, ERROR, serialize.pack(error).inline(), micros, started


class Execution:
    """Running one message and answering it."""

    def __init__(self, worker: Worker, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        self.worker = worker
        self.conn = conn
        _op, self.key, self.target, self.flag, self.args, self.num_returns, self.extra = message
        self.started = time.monotonic()
        self.name = ""
        """What runs, such as "f" or "Actor.method"; known once it has begun."""

    def begin(self) -> Running:
        """Say that it runs."""
        worker = self.worker
        if worker.instance is None:
            self.name = worker.function_names.get(self.target, "task")
        else:
            self.name = f"{worker.class_name}.{self.target}"
        shown = self.name if self.extra is None else self.extra.get("name") or self.name
        running = Running(worker, self.conn, self.key, self.name, shown, self.target)
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
            kind, payload = result(worker, caller, self.key, value, self.name)
            return (protocol.RESULT, self.key, kind, payload, self.micros(), self.started)
        if returns == "streaming":
            self.stream(value)
            return (protocol.RESULT, self.key, VALUE, None, self.micros(), self.started)
        if returns == "dynamic":
            refs = DynamicObjectRefGenerator(self.collect(value))
            kind, payload = result(worker, caller, self.key, refs, self.name)
            return (protocol.RESULT, self.key, kind, payload, self.micros(), self.started)
        if returns == 0:
            return (protocol.RESULTS, self.key, [], self.micros(), self.started)
        if isinstance(value, types.GeneratorType):
            return (protocol.RESULTS, self.key, self.some(value, returns), self.micros(), self.started)
        results = [
            result(worker, caller, self.key + index, item, self.name)
            for index, item in enumerate(several(value, returns))
        ]
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
            ref._kind, ref._value = ERROR, error_payload(self.worker, self.name, error, self.key)
            refs.append(ref)
        return refs

    def some(self, generator: Any, count: int) -> list[tuple[int, Any]]:
        """The first `count` values of a generator; those that it does not yield are errors."""
        results: list[tuple[int, Any]] = []
        problem: Any = None
        for index in range(count):
            try:
                results.append(
                    result(self.worker, self.conn.peer, self.key + index, next(generator), self.name)
                )
            except StopIteration:
                problem = ValueError(f"the generator yielded {index} values, but num_returns={count}.")
            except Exception as error:
                problem = error
            if problem is not None:
                payload = error_payload(self.worker, self.name, problem, self.key)
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
                kind, payload = result(worker, self.conn.peer, self.key + index + 1, item, self.name)
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
            return cancelled_answer(self.key, self.micros(), self.started)
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
            error_payload(worker, running.function_name, error, self.key),
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
    "cancelled_answer",
    "error_payload",
    "result",
    "sys",
]
