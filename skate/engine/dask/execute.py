"""One task or actor call: its arguments, its function, its result."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import devices, serialize
from skate.core.arguments import pack_result, put_back, several
from skate.core.failure import FailedArgumentError, pack_task_error
from skate.core.ref import BYTES, ERROR, DynamicObjectRefGenerator, ObjectRef
from skate.engine.dask.blob import MANY, Blob, as_blob, blob_of, error_blob, raised
from skate.engine.dask.calls import unscaled
from skate.engine.dask.submit import current_task

if TYPE_CHECKING:
    from skate.core.task_info import TaskInfo
    from skate.engine.dask.calls import Call
    from skate.engine.dask.executor import Executor


class Running:
    """What runs now, in this thread or coroutine."""

    __slots__ = ("call", "cancelled", "executor", "key", "name", "resources", "shown", "thread")

    def __init__(self, executor: Executor, key: int, name: str, shown: str, call: Call | None) -> None:
        self.executor = executor
        self.key = key
        self.name = name
        self.shown = shown
        self.call = call
        self.cancelled = False
        self.thread = 0

    def describe(self, info: TaskInfo) -> None:
        """Tell `get_runtime_context()` what is known here."""
        executor = self.executor
        info.mode = "worker" if executor.actor is None else "actor"
        info.task_id = ObjectRef(self.key).task_id().hex()
        info.task_name = self.shown
        info.function_name = f"{self._module()}.{self.name}"
        info.cancelled = self.cancelled
        info.resources = unscaled(executor.resources)
        info.gpu_ids = devices.names(executor.gpus, executor.exposure.named)
        if executor.placed is not None:
            info.placement_group_id = executor.placed.group
            info.captures_children = executor.placed.captures
        if executor.actor is not None:
            info.actor = executor.actor
            info.actor_name = executor.actor_name
            info.restarted = executor.incarnation > 0

    def _module(self) -> str:
        actor = self.executor.actor
        if actor is not None:
            return actor.meta.module
        return "__main__" if self.call is None else self.call.module


def arguments(
    blob: Blob, slots: int, deps: list[Blob], stored: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call. `deps` are the values of the refs among them, then what was stored.

    Raises:
        Exception: a ref among them has an error.
    """
    for dep in deps:
        if dep.kind == ERROR:
            raise FailedArgumentError(raised(dep))
    args, kwargs = (deps[-1] if stored else blob).value()
    return put_back(args, kwargs, [dep.value() for dep in deps[:slots]])


def task_error(executor: Executor, name: str, error: BaseException, key: int) -> Blob:
    """An exception of the user's code, as a RayTaskError."""
    packed = pack_task_error(
        error,
        name,
        task_id=ObjectRef(key).task_id(),
        instance=executor.instance,
        actor_id=None if executor.actor is None else executor.actor.key.to_bytes(16, "big").hex(),
    )
    return as_blob(ERROR, packed)


class Execution:
    """Running one call and answering it."""

    def __init__(self, executor: Executor, call: Call, deps: list[Blob]) -> None:
        self.executor = executor
        self.call = call
        self.deps = deps
        self.running = Running(executor, call.key, call.name, call.shown, call)
        self.retry = False
        """Whether it ended with an exception after which it may run again."""

    def function(self) -> Callable[..., Any]:
        """What the call runs."""
        if self.executor.actor is None:
            return self.executor.function(self.call, self.deps)
        return self.executor.method(self.call.method)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call's arguments."""
        call, deps = self.call, self.deps
        self.deps = []
        return arguments(call.args, call.slots, deps, call.stored_args)

    def run(self) -> None:
        """Run a plain function to its end, and answer."""
        executor = self.executor
        token = current_task.set(self.running)
        value: Any = None
        try:
            executor.enter(self.running)
            try:
                function = self.function()
                args, kwargs = self.arguments()
                value = function(*args, **kwargs)
                del args, kwargs
                blob = self.answer(value)
            finally:
                executor.leave(self.running)
        except BaseException as error:
            blob = self.failure(error)
        current_task.reset(token)
        # The value lives until its answer is on its way: the refs in it must not be let go of before that.
        executor.answer(self.call, blob, self.retry)

    def answer(self, value: Any) -> Blob:
        """A call's value as it is stored, by num_returns."""
        returns = self.call.returns
        if returns == 1:
            return self.blob(next(value) if isinstance(value, types.GeneratorType) else value)
        if returns == "streaming":
            return self.stream(value)
        if returns == "dynamic":
            return self.blob(DynamicObjectRefGenerator(self.collect(value)))
        if returns == 0:
            return blob_of(None)
        if isinstance(value, types.GeneratorType):
            return Blob(MANY, self.some(value, returns))
        return Blob(MANY, [self.blob(item) for item in several(value, returns)])

    def blob(self, value: Any) -> Blob:
        """What the call has returned or yielded, pickled."""
        return as_blob(BYTES, pack_result(value, self.call.name))

    def collect(self, generator: Any) -> list[ObjectRef[Any]]:
        """All that a generator yields, as refs; an exception is the last of them."""
        engine = self.executor.engine
        refs: list[ObjectRef[Any]] = []
        try:
            for item in generator:
                refs.append(engine.put(item))
        except Exception as error:
            refs.append(engine.put_blob(task_error(self.executor, self.call.name, error, self.call.key)))
        return refs

    def some(self, generator: Any, count: int) -> list[Blob]:
        """The first `count` values of a generator; those that it does not yield are errors."""
        results: list[Blob] = []
        problem: Any = None
        for index in range(count):
            try:
                results.append(self.blob(next(generator)))
            except StopIteration:
                problem = ValueError(f"the generator yielded {index} values, but num_returns={count}.")
            except Exception as error:
                problem = error
            if problem is not None:
                results += [task_error(self.executor, self.call.name, problem, self.call.key)] * (
                    count - index
                )
                break
        generator.close()
        return results

    def stream(self, generator: Any) -> Blob:
        """Send a generator's items as they come; the answer says how many there were, and the error that ended it."""
        stream = self.executor.open_stream(self.call)
        made = 0
        item: Any = None
        try:
            for item in generator:
                self.executor.send_item(self.call, made, self.blob(item))
                made += 1
                if not stream.wait_for_room(made):
                    generator.close()
                    break
        except Exception as error:
            if self.running.cancelled:
                raise
            return self.broken_stream(made, error)
        finally:
            self.executor.close_stream(self.call)
        return blob_of((made, None))

    def broken_stream(self, made: int, error: Exception) -> Blob:
        """The answer of a generator that raised after so many items."""
        self.retry = self.retryable(error)
        return blob_of((made, task_error(self.executor, self.call.name, error, self.call.key)))

    def failure(self, error: BaseException) -> Blob:
        """What to answer after an exception; some end the process instead."""
        executor = self.executor
        if self.running.cancelled and isinstance(error, KeyboardInterrupt):
            return error_blob(exceptions.TaskCancelledError(ObjectRef(self.call.key).task_id()))
        if isinstance(error, SystemExit):
            executor.exit_from_code(error)
        self.retry = self.retryable(error)
        return task_error(executor, self.call.name, error, self.call.key)

    def retryable(self, error: BaseException) -> bool:
        """Whether `retry_exceptions` is about this one."""
        given = self.call.retry_exceptions
        if isinstance(error, FailedArgumentError):
            return False  # it would have the same argument again
        if isinstance(given, bool):
            return given and isinstance(error, Exception)
        if isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, BaseException):
            error = error.cause
        return isinstance(error, serialize.unpack(given))
