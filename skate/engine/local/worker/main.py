"""The worker's process: its connections, its queue of work, its end."""

from __future__ import annotations

import functools
import inspect
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from skate import exceptions
from skate.core import runtime, serialize
from skate.core.actor import ActorExit, ActorState
from skate.core.ref import ERROR, ObjectRef
from skate.engine.local import protocol, wire
from skate.engine.local.client.engine import LocalEngine
from skate.engine.local.client.loop import Latch
from skate.engine.local.client.running import current_task
from skate.engine.local.worker import breakpoints, stdio
from skate.engine.local.worker.execute import Execution, Running, arguments, call_on_instance, error_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.placement.where import Where

_HOLD = 0.0005
"""Seconds for which a finished result may wait for the next one, to share a write."""


def run(settings: dict[str, Any], number: int) -> int:
    """Be a worker until told to end; the exit code."""
    return Worker(settings, number).serve()


class OutStream:
    """A generator that this worker runs for a caller."""

    def __init__(self, conn: wire.Conn, limit: int | None) -> None:
        self.conn = conn
        self.limit = limit
        self.taken = 0
        self.dropped = False
        self.latch: Latch | None = None
        self.on_change: Callable[[], Any] | None = None

    def has_room(self, produced: int) -> bool:
        """Whether another item may be made."""
        return self.limit is None or produced - self.taken < self.limit

    def wait_for_room(self, worker: Worker, produced: int) -> bool:
        """Wait until another item may be made; False if nobody wants more."""
        while not self.dropped and not self.has_room(produced):
            latch = self.latch = Latch(1)
            if self.dropped or self.has_room(produced):
                break
            worker.engine.waits.until(latch, None)
        return not self.dropped

    def changed(self) -> None:
        """Items were taken, or nobody wants more."""
        if self.latch is not None:
            self.latch(None)
        if self.on_change is not None:
            self.on_change()


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
        self.engine.loop._busy = self._busy
        runtime.engine = self.engine
        self.inbox: deque[tuple[wire.Conn | None, tuple[Any, ...]]] = deque()
        self.idle: Latch | None = None
        self.functions: dict[int, Any] = {}
        self.function_names: dict[int, str] = {}
        self.calls_of: dict[int, int] = {}
        self.resources: dict[str, float] = {}
        self.gpus: list[int] = []
        self.runtime_env = self.engine.job_env
        self.actor: ActorState | None = None
        self.actor_name = ""
        self.class_name = ""
        self.instance: Any = None
        self.restarts = 0
        self.groups: set[str] = set()
        self.method_groups: dict[str, str] = {}
        self._runner: Any = None
        self.pools: dict[str, Any] = {}
        self.coroutines: Any = None
        self.streams: dict[int, OutStream] = {}
        self.running: dict[int, Running] = {}
        self.async_running: dict[int, Running] = {}
        self.blocked = False
        self.exiting = False
        self.last_flush = 0.0
        self.main_thread = threading.get_ident()
        self.cancelling = 0
        self.greetings: dict[int, wire.Greeting] = {}
        self.path = os.path.join(settings["session_dir"], f"w{number}")
        self.listener = wire.listen(self.path)
        loop = self.engine.loop
        loop.handlers[self.listener.fileno()] = self._accept
        loop.poller.add(self.listener.fileno())
        self.callers: set[wire.Conn] = set()
        self._plain_lost = loop.on_lost
        loop.on_lost = self._conn_lost
        signal.signal(signal.SIGINT, self._on_sigint)
        stdio.install(self._who)

    def _who(self) -> str:
        running = current_task.get()
        if self.instance is not None or self.actor is not None:
            return self.class_name
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
                self.finish("its work was done.")
            if not self.inbox:
                self._await_work()
                continue
            conn, message = self.inbox.popleft()
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
                self.finish("it had made max_calls calls.")

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
        payload = error_payload(self, f"{self.class_name}.{message[2]}", error)
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
        if (objects.adds or objects.changes) and self._borrowed():
            self.engine.ask(protocol.SYNC)
        now = time.perf_counter()
        with loop.mutex:
            if conn.closed:
                return
            conn.send(answer)
            if self.engine.node.out:
                objects.flush_counts()
                loop.flush(self.engine.node)
            if not self.inbox or now - self.last_flush > _HOLD:
                loop.flush(conn)
                self.last_flush = now
            else:
                loop.dirty.add(conn)

    def _borrowed(self) -> bool:
        """Whether refs of others are still held here that the node has not been told of."""
        objects = self.engine.objects
        with self.engine.loop.mutex:
            objects.count()
            return any(delta > 0 for delta in objects.changes.values())

    def send_item(self, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        """Send a generator's item at once."""
        objects = self.engine.objects
        if (objects.adds or objects.changes) and self._borrowed():
            self.engine.ask(protocol.SYNC)
        with self.engine.loop.mutex:
            if not conn.closed:
                conn.send(message)
                if self.engine.node.out:
                    self.engine.loop.flush(self.engine.node)
                self.engine.loop.flush(conn)

    def reply_cancelled(self, conn: wire.Conn, message: tuple[Any, ...]) -> None:
        """Answer a call that was cancelled before it ran."""
        error = exceptions.TaskCancelledError(ObjectRef(message[1]).task_id())
        conn.send((protocol.RESULT, message[1], ERROR, serialize.pack(error).inline(), 0, 0.0))
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
                self._give_back()
        return True

    def _after_block(self) -> None:
        self.blocked = False

    def _give_back(self) -> None:
        """Return the tasks that have not started: others can run them (with the mutex held)."""
        by_conn: dict[wire.Conn, list[int]] = {}
        for conn, message in list(self.inbox):
            if conn is not None:
                by_conn.setdefault(conn, []).append(message[1])
        self.inbox = deque(item for item in self.inbox if item[0] is None)
        for conn, keys in by_conn.items():
            conn.send((protocol.STOLEN, keys))
            self.engine.loop.flush(conn)

    # -- messages (all with the mutex held) ----------------------------------------

    def _on_caller(self, conn: wire.Conn, messages: list[Any]) -> None:
        try:
            for message in messages:
                protocol.check(message, protocol.TO_WORKER)
        except protocol.MalformedMessage:
            self._conn_lost(conn)  # broken or hostile: cut off, without harm to the others
            return
        inbox = self.inbox
        for message in messages:
            op = message[0]
            if op == protocol.TASK or op == protocol.CALL:
                inbox.append((conn, message))
            elif op == protocol.FUNCTION:
                self.functions[message[1]] = (message[3],)
                self.function_names[message[1]] = message[2]
            elif op == protocol.LEASE:
                self._lease(message[1], message[2], message[4])
            elif op == protocol.CANCEL:
                self._cancel(message[1], message[2], message[3])
            elif op == protocol.STEAL:
                keys = [m[1] for c, m in inbox if c is conn]
                self.inbox = inbox = deque(item for item in inbox if item[0] is not conn)
                conn.send((protocol.STOLEN, keys))
                self.engine.loop.dirty.add(conn)
            elif op == protocol.TAKEN:
                stream = self.streams.get(message[1])
                if stream is not None:
                    stream.taken = message[2]
                    stream.changed()
            elif op == protocol.DROP:
                stream = self.streams.get(message[1])
                if stream is not None:
                    stream.dropped = True
                    stream.changed()
        if inbox:
            if self.blocked:
                self._give_back()
            self._notify()

    def _notify(self) -> None:
        if self.coroutines is not None:
            self.coroutines.notify()
        elif self.idle is not None:
            self.idle(None)

    def _lease(self, resources: dict[str, float], gpus: list[int], where: Where) -> None:
        self.resources = resources
        self.engine.groups.enter(where)
        if gpus != self.gpus or "GPU" in self.settings["resources"]:
            self.gpus = gpus
            if "GPU" in self.settings["resources"]:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))

    def _on_node(self, message: tuple[Any, ...]) -> None:
        op = message[0]
        if op in (protocol.HOST, protocol.EXIT):
            self.inbox.append((None, message))
            self._notify()
        elif op == protocol.BYE:
            os._exit(0)  # the node is gone: there is nobody left to work for

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self.listener.accept()
            except OSError:
                return
            greeting = wire.Greeting(sock, time.monotonic() + 5)
            self.greetings[greeting.fd] = greeting
            self.engine.loop.handlers[greeting.fd] = functools.partial(self._greet, greeting)
            self.engine.loop.poller.add(greeting.fd)
            self._greet(greeting)

    def _greet(self, greeting: wire.Greeting) -> None:
        try:
            hello = greeting.receive(self.settings["token"])
            if hello is None:
                return
            caller = int(hello.decode())
        except (wire.ProtocolError, ValueError):
            self._end_greeting(greeting)
            greeting.sock.close()
            return
        self._end_greeting(greeting)
        greeting.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        conn = wire.Conn(greeting.sock, caller)
        conn.on_messages = self._on_caller
        self.callers.add(conn)
        self.engine.loop.add(conn)

    def _end_greeting(self, greeting: wire.Greeting) -> None:
        del self.greetings[greeting.fd]
        del self.engine.loop.handlers[greeting.fd]
        self.engine.loop.poller.remove(greeting.fd)

    def _conn_lost(self, conn: wire.Conn) -> None:
        if conn not in self.callers:
            self._plain_lost(conn)
            return
        self.callers.discard(conn)
        self.engine.loop.remove(conn)
        self.inbox = deque(item for item in self.inbox if item[0] is not conn)
        for stream in self.streams.values():
            if stream.conn is conn:
                stream.dropped = True
                stream.changed()

    # -- cancelling ----------------------------------------

    def _cancel(self, key: int, force: bool, recursive: bool) -> None:
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
            if any(pool.unfinished for pool in self.pools.values()):
                self.engine.loop.deferred.append((self._exit_later, None))
                self._await_pools()
            self.finish("all its handles are gone.")
        elif message[0] == protocol.HOST:
            self._host(*message[1:])

    def _exit_later(self, _nothing: Any) -> None:
        self._notify()

    def _await_pools(self) -> None:
        while any(pool.unfinished for pool in self.pools.values()):
            latch = self.pools_latch = Latch(1)
            if any(pool.unfinished for pool in self.pools.values()):
                self.engine.loop.wait(latch, 0.1)

    pools_latch: Latch | None = None

    def pool_idle(self) -> None:
        """A pool has nothing to do any more."""
        if self.pools_latch is not None:
            self.pools_latch(None)
            self.engine.loop.wake()

    def _host(self, key: int, host: tuple[Any, ...], slots: Any, facts: tuple[Any, ...]) -> None:
        """Become an actor."""
        (_number, name, payload, flag, args, concurrency, groups, is_asyncio, meta_pickle, _backpressure) = (
            host
        )
        resources, gpus, self.restarts, self.actor_name, self.engine.namespace, where = facts
        self._lease(resources, gpus, where)
        self.class_name = name
        meta = pickle.loads(meta_pickle)
        state = self.engine.restore_actor(key, meta)
        # An actor's handle to itself must not keep it alive: dropping the guard takes back the count that restoring announced.
        state._guard = None
        self.actor = state
        self.method_groups = {
            m.name: m.options.concurrency_group for m in meta.methods.values() if m.options.concurrency_group
        }
        self.groups = set(groups)
        running = Running(self, None, key, f"{name}.__init__", f"{name}.__init__")
        current_task.set(running)
        error = None
        self.enter(running)
        try:
            stored = payload if type(payload) is not int else self.engine.objects.read(payload)
            cls = serialize.unpack(stored)
            positional, named = arguments(self, flag, args if flag == protocol.ARGS_PLAIN else (args, slots))
            if inspect.iscoroutinefunction(cls.__init__):
                # Python would refuse a constructor that returns a coroutine; its body runs in the actor's own loop.
                self.instance = cls.__new__(cls, *positional, **named)
                self.runner().run(cls.__init__(self.instance, *positional, **named))
            else:
                self.instance = cls(*positional, **named)
            del positional, named
        except BaseException as failure:
            error = self._creation_error(name, failure)
        finally:
            self.leave(running)
        current_task.set(None)
        if self._borrowed():
            self.engine.ask(protocol.SYNC)
        self.engine.tell(protocol.ACTOR_READY, key, error)
        if error is not None:
            return
        if is_asyncio:
            from skate.engine.local.worker.coroutines import AsyncActor

            self.coroutines = AsyncActor(self, concurrency, groups)
        elif concurrency > 1 or groups:
            from skate.engine.local.worker.threaded import Pool

            self.pools = {group: Pool(self, size, group) for group, size in groups.items()}
            self.pools[""] = Pool(self, concurrency, "calls")

    def _creation_error(self, name: str, failure: BaseException) -> Any:
        inner = serialize.unpack(error_payload(self, f"{name}.__init__", failure))
        try:
            return serialize.pack(exceptions.ActorDiedError(inner)).inline()
        except Exception as problem:
            text = f"The {name} actor's constructor raised {type(failure).__name__}: {failure} ({problem})"
            return serialize.pack(
                exceptions.ActorDiedError(exceptions.ActorDiedErrorContext(error_message=text))
            ).inline()

    # -- the end ----------------------------------------

    def exit_from_code(self, error: BaseException) -> NoReturn:
        """`exit_actor()`, or `sys.exit()` in user code: the process ends."""
        if isinstance(error, ActorExit):
            self.finish("it ended by exit_actor() or __ray_terminate__.")
        code = error.code if isinstance(error, SystemExit) else 1
        if self.actor is not None:
            self.finish(f"its method called sys.exit({code!r}).")
        self._flush_all()
        os._exit(code if isinstance(code, int) else 1)

    def finish(self, cause: str) -> NoReturn:
        """End the process, after what it has said has been written."""
        self.exiting = True
        self.engine.history.hand_over()
        # Answers first: once the node has told of the end, callers look for no more.
        self._flush_all()
        if self.actor is not None:
            self.engine.tell(protocol.ACTOR_EXIT, self.actor.key, cause)
        instance, self.instance = self.instance, None
        del instance
        os._exit(0)

    def _flush_all(self) -> None:
        with self.engine.loop.mutex:
            self.engine.flush_all()
            for conn in [self.engine.node, *self.callers]:
                if conn.closed:
                    continue
                conn.sock.setblocking(True)
                conn.sock.settimeout(5)
                conn.flush()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
