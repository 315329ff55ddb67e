"""Asyncio actors: methods run as coroutines of one loop in the main thread."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.dask.blob import Blob, blob_of, error_blob
from skate.engine.dask.execute import Execution
from skate.engine.dask.submit import current_task

if TYPE_CHECKING:
    from skate.engine.dask.executor import Executor


class Group:
    """Calls of one concurrency group: at most `limit` at once, the others wait in order."""

    __slots__ = ("limit", "running", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.waiting: deque[Execution] = deque()


class AsyncActor:
    """The loop of an asyncio actor."""

    def __init__(self, executor: Executor, limit: int, groups: dict[str, int]) -> None:
        self._executor = executor
        self._groups = {name: Group(size) for name, size in groups.items()}
        self._default = Group(limit)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exit: asyncio.Event | None = None

    def run(self) -> None:
        """Serve until the actor ends."""
        with self._executor.runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._exit = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._take_inbox()
        await self._exit.wait()
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def notify(self) -> None:
        """The inbox has something (the reader's thread)."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._take_inbox)

    def _take_inbox(self) -> None:
        executor = self._executor
        while not executor.inbox.empty():
            message = executor.inbox.get()
            if message[0] == "exit":
                assert self._exit is not None
                self._exit.set()
                continue
            call, deps = message[1], message[2]
            if not executor.check_group(call):
                continue
            execution = Execution(executor, call, deps)
            group = self._groups.get(executor.group_of(call), self._default)
            if group.running < group.limit:
                self._start(group, execution)
            else:
                group.waiting.append(execution)

    def _start(self, group: Group, execution: Execution) -> None:
        assert self._loop is not None
        group.running += 1
        self._tasks[execution.call.key] = self._loop.create_task(self._run(group, execution))

    def cancel(self, key: int) -> None:
        """Cancel a call that runs or waits (the reader's thread)."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, key)

    def _cancel(self, key: int) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()
            return
        for group in (self._default, *self._groups.values()):
            for execution in list(group.waiting):
                if execution.call.key == key:
                    group.waiting.remove(execution)
                    self._executor.answer_cancelled(execution.call)

    async def _run(self, group: Group, execution: Execution) -> None:
        executor = self._executor
        call = execution.call
        value: Any = None
        exiting: SystemExit | None = None
        blob: Blob | None = None
        try:
            current_task.set(execution.running)
            executor.enter(execution.running)
            function = execution.function()
            args, kwargs = execution.arguments()
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
            if call.returns == "streaming" and hasattr(value, "__aiter__"):
                blob = await self._stream(execution, value)
            elif call.returns == "dynamic" and hasattr(value, "__aiter__"):
                blob = execution.answer([item async for item in value])
            else:
                blob = execution.answer(value)
        except asyncio.CancelledError:
            blob = error_blob(exceptions.TaskCancelledError(ObjectRef(call.key).task_id()))
        except SystemExit as error:
            exiting = error
        except BaseException as error:
            blob = execution.failure(error)
        finally:
            executor.leave(execution.running)
            current_task.set(None)
        if exiting is not None:
            executor.exit_from_code(exiting)
        assert blob is not None
        executor.answer(call, blob, execution.retry)
        del value
        del self._tasks[call.key]
        group.running -= 1
        if group.waiting:
            self._start(group, group.waiting.popleft())

    async def _stream(self, execution: Execution, generator: Any) -> Blob:
        executor, call, loop = self._executor, execution.call, self._loop
        assert loop is not None
        stream = executor.open_stream(call)
        room = asyncio.Event()
        stream.on_change = lambda: loop.call_soon_threadsafe(room.set)
        made = 0
        try:
            async for item in generator:
                executor.send_item(call, made, execution.blob(item))
                made += 1
                while not stream.dropped and not stream.has_room(made):
                    room.clear()
                    if not stream.dropped and not stream.has_room(made):
                        await room.wait()
                if stream.dropped:
                    await generator.aclose()
                    break
        except Exception as error:
            return execution.broken_stream(made, error)
        finally:
            executor.close_stream(call)
        return blob_of((made, None))
