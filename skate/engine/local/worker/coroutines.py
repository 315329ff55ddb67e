"""Asyncio actors: methods run as coroutines of one loop in the main thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.client.running import current_task
from skate.engine.local.worker import ending
from skate.engine.local.worker.execute import Execution, arguments, cancelled_answer, result

if TYPE_CHECKING:
    from skate.engine.local.worker.main import Worker


class Group:
    """Calls of one concurrency group: at most `limit` at once, the others wait in order."""

    __slots__ = ("limit", "running", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.waiting: deque[tuple[Any, tuple[Any, ...]]] = deque()


class AsyncActor:
    """The loop of an asyncio actor."""

    def __init__(self, worker: Worker, limit: int, groups: dict[str, int]) -> None:
        self.worker = worker
        self.groups = {name: Group(size) for name, size in groups.items()}
        self.default = Group(limit)
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.exit: asyncio.Event | None = None
        self._scheduled = False

    def run(self) -> None:
        """Serve until the actor ends."""
        with self.worker.runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        worker = self.worker
        engine = worker.engine
        self.loop = asyncio.get_running_loop()
        self.exit = asyncio.Event()
        engine.loop.attached = True
        engine.waits.attach(self.loop)
        engine.loop.nudge()
        self.take_inbox()
        await self.exit.wait()
        while self.tasks:
            await asyncio.wait(list(self.tasks.values()))
        self.loop.remove_reader(engine.loop.poller.fileno())
        engine.loop.attached = False

    def notify(self) -> None:
        """The inbox has something (any thread, mutex held)."""
        if self._scheduled or self.loop is None:
            return
        self._scheduled = True
        if threading.get_ident() == self.worker.main_thread:
            # The loop's own thread reads the sockets: it goes on with this as soon as it has let go of the mutex.
            self.worker.engine.loop.deferred.append((self.take_inbox, None))
        else:
            self.loop.call_soon_threadsafe(self.take_inbox)

    def take_inbox(self, _nothing: None = None) -> None:
        """Start what has arrived."""
        self._scheduled = False
        while (item := self.worker.take()) is not None:
            conn, message = item
            if conn is None:
                if self.exit is not None:
                    self.exit.set()
                continue
            if message[6] is not None and self.worker.refuse_unknown_group(conn, message):
                continue
            group = self.groups.get(self.worker.group_of(message), self.default)
            if group.running < group.limit:
                self._start(group, conn, message)
            else:
                group.waiting.append((conn, message))

    def _start(self, group: Group, conn: Any, message: tuple[Any, ...]) -> None:
        assert self.loop is not None
        group.running += 1
        task = self.loop.create_task(self._run(group, conn, message))
        self.tasks[message[1]] = task

    def cancel(self, key: int) -> None:
        """Cancel a call that runs or waits (any thread): done by the loop's own, which starts and ends them."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._cancel, key)

    def _cancel(self, key: int) -> None:
        task = self.tasks.get(key)
        if task is not None:
            task.cancel()
            return
        for group in (self.default, *self.groups.values()):
            for waiting in group.waiting:
                if waiting[1][1] == key:
                    group.waiting.remove(waiting)
                    self.worker.reply(waiting[0], cancelled_answer(key))
                    return

    async def _run(self, group: Group, conn: Any, message: tuple[Any, ...]) -> None:
        worker = self.worker
        execution = Execution(worker, conn, message)
        running = execution.begin()
        exiting: BaseException | None = None
        try:
            function = execution.function()
            worker.async_running[execution.key] = running
            args, kwargs = arguments(worker, execution.flag, execution.args)
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
            if execution.num_returns == "streaming" and hasattr(value, "__aiter__"):
                await self._stream(execution, value)
                answer: tuple[Any, ...] = (
                    protocol.RESULT,
                    execution.key,
                    1,
                    None,
                    execution.micros(),
                    execution.started,
                )
            elif execution.num_returns == "dynamic" and hasattr(value, "__aiter__"):
                answer = execution.answer([item async for item in value])
            else:
                answer = execution.answer(value)
        except asyncio.CancelledError:
            answer = cancelled_answer(execution.key, execution.micros(), execution.started)
        except SystemExit as error:
            exiting = error
            answer = ()
        except BaseException as error:
            answer = execution.failure(running, error)
        finally:
            worker.async_running.pop(execution.key, None)
            current_task.set(None)
        if exiting is not None:
            ending.exit_from_code(worker, exiting)
        worker.reply(conn, answer)
        del self.tasks[execution.key]
        group.running -= 1
        if group.waiting:
            self._start(group, *group.waiting.popleft())

    async def _stream(self, execution: Execution, generator: Any) -> None:
        worker = self.worker
        stream = worker.open_stream(
            execution.conn, execution.key, (execution.extra or {}).get("backpressure")
        )
        index = 0
        try:
            async for item in generator:
                kind, payload = result(
                    worker, execution.conn.peer, execution.key + index + 1, item, execution.name
                )
                worker.send_item(execution.conn, (protocol.ITEM, execution.key, index, kind, payload))
                index += 1
                while not stream.dropped and not stream.has_room(index):
                    event = asyncio.Event()
                    stream.on_change = lambda e=event: (
                        self.loop.call_soon_threadsafe(e.set) if self.loop else None
                    )
                    await event.wait()
                if stream.dropped:
                    await generator.aclose()
                    return
        finally:
            worker.close_stream(execution.key)
