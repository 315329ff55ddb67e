"""The worker's process: its queue of work, what runs, and how answers go out."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.core import devices, runtime, serialize
from skate.core.actor import ActorExit, ActorState
from skate.core.ref import ERROR
from skate.engine.local import protocol, wire
from skate.engine.local.client.engine import LocalEngine
from skate.engine.local.client.loop import Latch
from skate.engine.local.client.running import current_task
from skate.engine.local.worker import breakpoints, ending, hosting, stdio
from skate.engine.local.worker.callers import Callers
from skate.engine.local.worker.execute import (
    Execution,
    Running,
    call_on_instance,
    cancelled_answer,
    error_payload,
)
from skate.engine.local.worker.outstream import OutStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.local.worker.threaded import Answers
    from skate.engine.placement.where import Where

_HOLD = 0.0005
"""Seconds for which a finished result may wait for the next one, to share a write."""


def run(settings: dict[str, Any], number: int) -> int:
    """Be a worker until told to end; the exit code."""
    return Worker(settings, number).serve()


class Worker:
    """A worker."""

    def __init__(self, settings: dict[str, Any], number: int) -> None:
        self.settings = settings
        self.number = number
        node = wire.connect(settings["node_path"], settings["token"], str(number).encode())
        self.engine = LocalEngine(node, number, settings, settings["arena_fd"], settings["namespace"])
        # What this worker starts inherits its environment.
        self.engine.job_env = {name: value for name, value in settings["env"].items() if name != "built"}
        self.engine.before_block = self._before_block
        self.engine.after_block = self._after_block
        self.engine.on_node_message = self._on_node
        self.engine.running_now = self._running_now
        breakpoints.install(self)
        self.post_mortem = breakpoints.wanted_after_errors()
        self.engine.loop.before_park = self.engine.history.hand_over
        self.engine.loop._busy = self.engine.loop._pressing = self._busy
        runtime.engine = self.engine
        self.inbox: deque[tuple[wire.Conn | None, tuple[Any, ...]]] = deque()
        self.idle: Latch | None = None
        self.functions: dict[int, Any] = {}
        self.function_names: dict[int, str] = {}
        self.function_modules: dict[int, str] = {}
        self.calls_of: dict[int, int] = {}
        self.resources: dict[str, float] = {}
        self.gpus: list[int] = []
        self.exposure = devices.Exposure()
        self.runtime_env = self.engine.job_env
        self.actor: ActorState | None = None
        self.actor_name = ""
        self.class_name = ""
        self.shown_name = ""
        """How the actor's instance shows itself, in front of what it prints; empty if as its class."""
        self.instance: Any = None
        self.restarts = 0
        self.groups: set[str] = set()
        self.method_groups: dict[str, str] = {}
        self._runner: Any = None
        self.pools: dict[str, Any] = {}
        self.pools_latch: Latch | None = None
        self.answers: Answers | None = None
        self.coroutines: Any = None
        self.streams: dict[int, OutStream] = {}
        self.running: dict[int, Running] = {}
        self.async_running: dict[int, Running] = {}
        self.blocked = False
        self.exiting = False
        self.last_flush = 0.0
        self.main_thread = threading.get_ident()
        self.cancelling = 0
        self.path = os.path.join(settings["session_dir"], f"w{number}")
        self.callers = Callers(self, self.path)
        signal.signal(signal.SIGINT, self._on_sigint)
        stdio.install(self._who)

    def _who(self) -> str:
        running = current_task.get()
        if self.instance is not None or self.actor is not None:
            return self.shown_name or self.class_name
        return "" if running is None else running.name

    def serve(self) -> int:
        """Work until told to end."""
        env = self.settings["env"]
        if env and not self._enter(env):
            return 1
        self.engine.tell(protocol.READY, self.path, os.getpid())
        while not self.exiting:
            if self.coroutines is not None:
                self.coroutines.run()
                ending.finish(self, "its work was done.")
            item = self.take()
            if item is None:
                self._await_work()
                continue
            conn, message = item
            if conn is None:
                self._on_order(message)
            elif (
                self.instance is not None
                and message[6] is not None
                and self.refuse_unknown_group(conn, message)
            ):
                continue
            elif self.pools:
                self._to_pool(conn, message)
            else:
                self._run(conn, message)
        return 0

    def take(self) -> tuple[wire.Conn | None, tuple[Any, ...]] | None:
        """The next piece of work, or None.

        With the mutex, as another thread may be giving work back to its caller: what is given back must not run here too.
        """
        with self.engine.loop.mutex:
            return self.inbox.popleft() if self.inbox else None

    def _enter(self, env: dict[str, Any]) -> bool:
        """Put this process into its runtime environment; False, and the node told why, if it can't be."""
        from skate.core.environment.enter import enter, setup_hook
        from skate.core.environment.fields import HOOK

        try:
            enter(env)
            if HOOK in env:
                setup_hook(env[HOOK])()
        except BaseException as error:
            import traceback

            lines = traceback.format_exception_only(error)
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.engine.tell(
                protocol.ENV_BROKEN,
                f"{''.join(lines).strip()} (in {where.name}, {where.filename}:{where.lineno})",
            )
            return False
        return True

    def _await_work(self) -> None:
        latch = Latch(1)
        objects = self.engine.objects
        objects.next_task()
        objects.next_task()
        with self.engine.loop.mutex:
            if self.inbox:
                return
            self.engine.flush_all()
            self.idle = latch
        self.engine.loop.wait(latch, None)
        self.idle = None

    def _busy(self) -> bool:
        return bool(
            self.running
            or (self.coroutines is not None and self.async_running)
            or LocalEngine._busy(self.engine)
        )

    # -- running ----------------------------------------

    def _run(self, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        Execution(self, conn, message).run()
        self.engine.objects.next_task()
        extra = message[6]
        if extra is not None and "max_calls" in extra and message[0] == protocol.TASK:
            count = self.calls_of[message[2]] = self.calls_of.get(message[2], 0) + 1
            if count >= extra["max_calls"]:
                self.engine.tell(protocol.RETIRE)
                with self.engine.loop.mutex:
                    keys = [m[1] for c, m in self.inbox if c is conn]
                    conn.send((protocol.EXITING, keys))
                ending.finish(self, "it had made max_calls calls.")

    def _running_now(self) -> list[tuple[int, float, str]]:
        running = [*self.running.values(), *self.async_running.values()]
        return [(r.key, r.started, "get" if r.waits else "") for r in running]

    def _to_pool(self, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        group = self.group_of(message)
        pool = self.pools.get(group)
        if pool is None:
            pool = self.pools[""]
        pool.submit(conn, message)

    def runner(self) -> Any:
        """What runs an asyncio actor's coroutines."""
        if self._runner is None:
            import asyncio

            # An actor class may name the event loop that it runs on; asyncio's own is the default.
            factory = getattr(type(self.instance), "__skate_loop_factory__", None)
            self._runner = asyncio.Runner(loop_factory=factory)
        return self._runner

    def refuse_unknown_group(self, conn: wire.Conn, message: tuple[Any, ...]) -> bool:
        """Answer a call that names a concurrency group there is none of; True if it does."""
        extra = message[6]
        group = None if extra is None else extra.get("group")
        if group is None or group in self.groups:
            return False
        declared = ", ".join(sorted(self.groups)) or "none"
        error = ValueError(f"the actor has no concurrency group {group!r}. Declared: {declared}.")
        payload = error_payload(self, f"{self.class_name}.{message[2]}", error, message[1])
        self.reply(conn, (protocol.RESULT, message[1], ERROR, payload, 0, 0.0))
        return True

    def group_of(self, message: tuple[Any, ...]) -> str:
        """The concurrency group of a call."""
        extra = message[6]
        if extra is not None and "group" in extra:
            group: str = extra["group"]
            return group
        return self.method_groups.get(message[2], "")

    def enter(self, running: Running) -> None:
        """A call runs now in this thread."""
        running.thread = threading.get_ident()
        self.running[running.key] = running
        if self.engine.loop.parked or self.engine.loop._thread is None:
            self.engine.loop.nudge()

    def leave(self, running: Running) -> None:
        """It runs no more."""
        self.running.pop(running.key, None)

    def function(self, number: int) -> Callable[..., Any]:
        """A task's function."""
        found = self.functions[number]
        if type(found) is tuple:
            payload = found[0]
            if type(payload) is int:
                payload = self.engine.objects.read(payload)
            found = self.functions[number] = serialize.unpack(payload)
        function: Callable[..., Any] = found
        return function

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the actor."""
        if name == "__ray_terminate__":
            return self._terminate
        if name == "__ray_ready__":
            return lambda: True
        if name == "__ray_call__":
            return call_on_instance(self.instance)
        method: Callable[..., Any] = getattr(self.instance, name)
        return method

    def _terminate(self) -> None:
        raise ActorExit(0)

    def reply(self, conn: wire.Conn, answer: tuple[Any, ...]) -> None:
        """Answer a call; answers that come close together share a write."""
        loop = self.engine.loop
        objects = self.engine.objects
        if (objects.came or objects.adds or objects.changes) and objects.borrowed():
            self.engine.ask(protocol.SYNC)
        if self.answers is not None:
            self.answers.add(conn, answer)
            return
        now = time.perf_counter()
        with loop.mutex:
            if conn.closed:
                return
            conn.send(answer)
            if self.engine.node.out:
                objects.flush_counts()
                loop.flush(self.engine.node)
            if now - self.last_flush > _HOLD or not self.inbox:
                loop.flush(conn)
                self.last_flush = now
            else:
                loop.dirty.add(conn)

    def send_item(self, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        """Send a generator's item at once."""
        objects = self.engine.objects
        if (objects.came or objects.adds or objects.changes) and objects.borrowed():
            self.engine.ask(protocol.SYNC)
        with self.engine.loop.mutex:
            if not conn.closed:
                conn.send(message)
                if self.engine.node.out:
                    self.engine.loop.flush(self.engine.node)
                self.engine.loop.flush(conn)

    def reply_cancelled(self, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        """Answer a call that was cancelled before it ran (with the mutex held)."""
        conn.send(cancelled_answer(message[1]))
        self.engine.loop.dirty.add(conn)

    # -- generators ----------------------------------------

    def open_stream(self, conn: wire.Conn, key: int, limit: int | None) -> OutStream:
        """A generator starts."""
        stream = self.streams[key] = OutStream(conn, limit)
        return stream

    def close_stream(self, key: int) -> None:
        """It has ended."""
        self.streams.pop(key, None)

    # -- blocking ----------------------------------------

    def _before_block(self) -> bool:
        if threading.get_ident() != self.main_thread or not self.running:
            return False
        if self.actor is None:
            with self.engine.loop.mutex:
                self.blocked = True
                self.callers.give_back()
        return True

    def _after_block(self) -> None:
        self.blocked = False

    # -- from the node and from callers (all with the mutex held) ----------------------------------------

    def notify(self) -> None:
        """There is something in the inbox."""
        if self.coroutines is not None:
            self.coroutines.notify()
        elif self.idle is not None:
            self.idle(None)

    def lease(self, resources: dict[str, float], gpus: list[int], where: Where) -> None:
        """What runs from now on may use these."""
        self.resources = resources
        self.engine.groups.enter(where)
        if gpus != self.gpus:
            self.gpus = gpus
            self.exposure.show(gpus)

    def _on_node(self, message: tuple[Any, ...]) -> None:
        op = message[0]
        if op in (protocol.HOST, protocol.EXIT):
            self.inbox.append((None, message))
            self.notify()
        elif op == protocol.BYE:
            os._exit(0)  # the node is gone: there is nobody left to work for

    # -- cancelling ----------------------------------------

    def cancel(self, key: int, force: bool, recursive: bool) -> None:
        """A caller wants a call stopped."""
        if recursive:
            self.engine.cancels.cancel_children(key, force)
        for item in self.inbox:
            if item[1][1] == key and item[0] is not None:
                self.inbox.remove(item)
                self.reply_cancelled(item[0], item[1])
                return
        running = self.running.get(key) or self.async_running.get(key)
        if running is None and self.coroutines is None:
            return
        if running is not None:
            running.cancelled = True
        if self.coroutines is not None:
            self.coroutines.cancel(key)
        elif running is not None and running.thread == self.main_thread and self.actor is None:
            self.cancelling = key
            signal.pthread_kill(self.main_thread, signal.SIGINT)

    def _on_sigint(self, _number: int, _frame: Any) -> None:
        self.engine.loop.interrupt(self._interrupt)

    def _interrupt(self) -> None:
        if self.cancelling in self.running:
            self.cancelling = 0
            raise KeyboardInterrupt

    # -- orders from the node ----------------------------------------

    def _on_order(self, message: tuple[Any, ...]) -> None:
        if message[0] == protocol.EXIT:
            ending.await_pools(self)
            ending.finish(self, "all references to the actor were removed.")
        elif message[0] == protocol.HOST:
            hosting.host(self, *message[1:])

    def pool_idle(self) -> None:
        """A pool has nothing to do any more."""
        if self.pools_latch is not None:
            self.pools_latch(None)
            self.engine.loop.wake()
