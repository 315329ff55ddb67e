"""A process that runs user code for a Dask worker: tasks one after the other, or the calls of one actor.

The main thread runs them (an asyncio actor's loop too); one thread reads what the Dask worker sends, one writes to it.
"""

from __future__ import annotations

import inspect
import json
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from skate import exceptions
from skate.core import devices, runtime
from skate.core.actor import ActorExit, ActorState
from skate.core.failure import creation_error
from skate.core.ref import ERROR, ObjectRef
from skate.engine.dask import output, stacks, wire
from skate.engine.dask.blob import Blob, error_blob, raised
from skate.engine.dask.calls import ActorSpec, Call, Job, Placed, outside
from skate.engine.dask.engine import DaskEngine
from skate.engine.dask.execute import Execution, Running, arguments, task_error
from skate.engine.dask.submit import current_task


def main(sock: socket.socket) -> NoReturn:
    """Serve until told to end."""
    code = 1
    try:
        Executor(sock).serve()
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


class OutStream:
    """A generator that runs here for a caller."""

    def __init__(self, executor: Executor, limit: int | None) -> None:
        self._executor = executor
        self.limit = limit
        self.taken = 0
        self.dropped = False
        self.on_change: Callable[[], Any] | None = None
        self._changed = threading.Event()

    def has_room(self, made: int) -> bool:
        """Whether another item may be made."""
        return self.limit is None or made - self.taken < self.limit

    def wait_for_room(self, made: int) -> bool:
        """Wait until another item may be made; False if nobody wants more."""
        while not self.dropped and not self.has_room(made):
            token = self._executor.before_block()
            self._changed.wait()
            self._executor.after_block(token)
            self._changed.clear()
        return not self.dropped

    def changed(self) -> None:
        """Items were taken, or nobody wants more."""
        self._changed.set()
        if self.on_change is not None:
            self.on_change()


class Executor:
    """The process."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        hello = wire.receive(sock)
        os.environ.clear()
        os.environ.update(hello["environ"])
        self._env: dict[str, Any] = hello["env"]
        self.job = Job("", "", "")
        self.engine = DaskEngine(self.out.put, hello["number"], self.job, hello["address"])
        self.engine.config.labels = hello["labels"]
        self.engine.config.spill_directory = hello["directory"]
        self.engine.before_block = self.before_block
        self.engine.after_block = self.after_block
        self.engine.keep_span = lambda span: self.out.put(("span", span))
        runtime.engine = self.engine
        self.functions: dict[int, Callable[..., Any]] = {}
        self.resources: dict[str, int] = {}
        self.gpus: list[int] = []
        self.placed: Placed | None = None
        self.exposure = devices.Exposure()
        self.actor: ActorState | None = None
        self.actor_name = ""
        self.class_name = ""
        self.instance: Any = None
        self.incarnation = 0
        self.groups: dict[str, int] = {}
        self.method_groups: dict[str, str] = {}
        self.running: dict[int, Running] = {}
        self.streams: dict[int, OutStream] = {}
        self.pools: dict[str, Any] = {}
        self.coroutines: Any = None
        self._runner: Any = None
        self._cancelling = 0
        self._early: set[int] = set()
        self.main_thread = threading.get_ident()
        signal.signal(signal.SIGINT, self._on_sigint)
        threading.Thread(target=self._read, name="skate-reader", daemon=True).start()
        threading.Thread(target=self._write, name="skate-writer", daemon=True).start()
        self.out.put(("hello", os.getpid()))
        self.printing = output.install(self._print)

    def _print(self, stream: str, text: str) -> None:
        running = current_task.get()
        who = self.class_name or ("" if running is None else running.shown)
        self.out.put(("print", self.engine.job.client, stream, who, os.getpid(), text))

    # -- the two threads ----------------------------------------

    def _write(self) -> None:
        try:
            while True:
                message = self.out.get()
                if isinstance(message, threading.Event):
                    message.set()
                else:
                    wire.send(self.sock, message)
        except OSError:
            os._exit(1)  # the Dask worker is gone: there is nobody left to work for

    def _read(self) -> None:
        try:
            while True:
                self._on_message(wire.receive(self.sock))
        except (EOFError, OSError):
            os._exit(1)

    def _on_message(self, message: tuple[Any, ...]) -> None:
        op = message[0]
        if op in ("run", "host", "exit"):
            self.inbox.put(message)
            if self.coroutines is not None:
                self.coroutines.notify()
        elif op == "cancel":
            self._cancel(message[1])
        elif op == "stacks":
            self.out.put(("stacks", stacks.threads()))
        elif op == "taken":
            stream = self.streams.get(message[1])
            if stream is not None:
                stream.taken = message[2]
                stream.changed()
        elif op == "drop_stream":
            stream = self.streams.get(message[1])
            if stream is not None:
                stream.dropped = True
                stream.changed()
        else:
            self.engine.on_message(message)

    # -- running ----------------------------------------

    def serve(self) -> None:
        """Work until told to end."""
        if not self._enter(self._env):
            self._flush()
            return
        while True:
            message = self.inbox.get()
            if message[0] == "exit":
                self.finish("all references to the actor were removed.")
            elif message[0] == "host":
                self._host(*message[1:])
                if self.coroutines is not None:
                    self.coroutines.run()
                    self.finish("its work was done.")
            else:
                self._start(*message[1:])

    def _enter(self, env: dict[str, Any]) -> bool:
        """Put this process into its runtime environment; False, and the Dask worker told why, if it can't be."""
        from skate.core.environment.enter import enter, setup_hook
        from skate.core.environment.fields import HOOK

        try:
            enter(env)
            if HOOK in env:
                setup_hook(env[HOOK])()
        except BaseException as error:
            lines = traceback.format_exception_only(error)
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{''.join(lines).strip()} (in {where.name}, {where.filename}:{where.lineno})"
            self.out.put(("broken", text))
            return False
        return True

    def _start(self, call: Call, deps: list[Blob], resources: dict[str, int], gpus: list[int]) -> None:
        if self.actor is None:
            self.placed = call.placed
            self._become(call.job, call.env, resources, gpus)
        elif not self.check_group(call):
            return
        execution = Execution(self, call, deps)
        del deps
        if self.pools:
            pool = self.pools.get(self.group_of(call))
            (pool or self.pools[""]).submit(execution)
        elif call.key in self._early:
            self._early.discard(call.key)
            self.answer_cancelled(call)
        else:
            execution.run()

    def _become(self, job: Job, env: str, resources: dict[str, int], gpus: list[int]) -> None:
        if env:
            # What a task starts inherits its variables.
            job.env = json.loads(env)
        self.engine.job = job
        self.resources = outside(resources, self.placed)
        self.gpus = gpus
        self.exposure.show(gpus)

    def function(self, call: Call, deps: list[Blob]) -> Callable[..., Any]:
        """A task's function."""
        found = self.functions.get(call.function_key)
        if found is None:
            blob = call.function
            if call.stored_function:
                blob = deps[call.slots]
                if blob.kind == ERROR:
                    raise raised(blob)
            assert blob is not None
            found = self.functions[call.function_key] = blob.value()
        return found

    def method(self, name: str) -> Callable[..., Any]:
        """A method of the actor."""
        if name == "__ray_terminate__":
            return self._terminate
        if name == "__ray_ready__":
            return lambda: True
        if name == "__ray_call__":
            instance = self.instance
            return lambda function, *args, **kwargs: function(instance, *args, **kwargs)
        method: Callable[..., Any] = getattr(self.instance, name)
        return method

    def _terminate(self) -> None:
        raise ActorExit(0)

    def check_group(self, call: Call) -> bool:
        """Refuse a call that names a concurrency group there is none of."""
        if call.group is None or call.group in self.groups:
            return True
        declared = ", ".join(sorted(self.groups)) or "none"
        error = ValueError(f"the actor has no concurrency group {call.group!r}. Declared: {declared}.")
        self.answer(call, task_error(self, call.name, error, call.key), False)
        return False

    def group_of(self, call: Call) -> str:
        """The concurrency group of a call."""
        return call.group or self.method_groups.get(call.method, "")

    def enter(self, running: Running) -> None:
        """A call runs now in this thread."""
        running.thread = threading.get_ident()
        self.running[running.key] = running
        self.out.put(("started", running.key))

    def leave(self, running: Running) -> None:
        """It runs no more."""
        self.running.pop(running.key, None)
        for stream in self.printing:
            stream.end_line()

    def answer(self, call: Call, blob: Blob, retry: bool) -> None:
        """Send a call's answer."""
        self.out.put(("done", call.key, blob, retry))

    def answer_cancelled(self, call: Call) -> None:
        """Answer a call that was cancelled before it ran."""
        error = exceptions.TaskCancelledError(ObjectRef(call.key).task_id())
        self.answer(call, error_blob(error), False)

    # -- generators ----------------------------------------

    def open_stream(self, call: Call) -> OutStream:
        """A generator starts."""
        stream = self.streams[call.key] = OutStream(self, call.backpressure)
        return stream

    def close_stream(self, call: Call) -> None:
        """It has ended."""
        self.streams.pop(call.key, None)

    def send_item(self, call: Call, index: int, blob: Blob) -> None:
        """Send an item at once."""
        self.out.put(("item", call.key, index, blob))

    # -- blocking ----------------------------------------

    def before_block(self) -> Any:
        """The calling code is about to wait: its CPU may be lent."""
        running = current_task.get()
        if running is None:
            return None
        self.out.put(("blocked", running.key))
        return running.key

    def after_block(self, token: Any) -> None:
        """It goes on."""
        if token is not None:
            self.out.put(("unblocked", token))

    # -- cancelling ----------------------------------------

    def _cancel(self, key: int) -> None:
        running = self.running.get(key)
        if running is not None:
            running.cancelled = True
        if self.coroutines is not None:
            self.coroutines.cancel(key)
        elif self.pools:
            if running is None:
                for pool in self.pools.values():
                    pool.cancel(key)
        elif running is None:
            self._early.add(key)
        elif self.actor is None:
            self._cancelling = key
            signal.pthread_kill(self.main_thread, signal.SIGINT)

    def _on_sigint(self, _number: int, _frame: Any) -> None:
        if self._cancelling not in self.running:
            return
        if self.engine.refs.lock._is_owned():  # type: ignore[attr-defined]
            # Not in the middle of our own bookkeeping: a moment later.
            threading.Timer(0.001, signal.pthread_kill, (self.main_thread, signal.SIGINT)).start()
            return
        self._cancelling = 0
        raise KeyboardInterrupt

    # -- being an actor ----------------------------------------

    def runner(self) -> Any:
        """What runs an asyncio actor's coroutines."""
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner

    def _host(
        self, spec: ActorSpec, deps: list[Blob], incarnation: int, resources: dict[str, int], gpus: list[int]
    ) -> None:
        self.placed = spec.placed
        self._become(spec.job, spec.env, resources, gpus)
        self.class_name, self.actor_name = spec.class_name, spec.name
        self.incarnation = incarnation
        name = f"{spec.class_name}.__init__"
        running = Running(self, spec.key, name, name, None)
        token = current_task.set(running)
        error: Blob | None = None
        self.enter(running)
        try:
            meta = pickle.loads(spec.meta)
            self.actor = ActorState(spec.key, meta)
            # An actor's handle to itself must not keep it alive: this state has no guard.
            self.engine.refs.actors[spec.key] = self.actor
            groups = {m.name: m.options.concurrency_group for m in meta.methods.values()}
            self.method_groups = {method: group for method, group in groups.items() if group}
            self.groups = dict(spec.groups)
            cls = spec.cls.value()
            positional, named = arguments(spec.args, spec.slots, deps, spec.stored_args)
            if inspect.iscoroutinefunction(cls.__init__):
                # Python would refuse a constructor that returns a coroutine; its body runs in the actor's own loop.
                self.instance = cls.__new__(cls, *positional, **named)
                self.runner().run(cls.__init__(self.instance, *positional, **named))
            else:
                self.instance = cls(*positional, **named)
            del positional, named
        except BaseException as failure:
            error = self._creation_error(running, failure)
        finally:
            self.leave(running)
        current_task.reset(token)
        self.resources = outside(spec.running, self.placed)
        self.out.put(("hosted", error))
        if error is not None:
            return
        if spec.is_asyncio:
            from skate.engine.dask.coroutines import AsyncActor

            self.coroutines = AsyncActor(self, spec.concurrency, spec.groups)
        elif spec.concurrency > 1 or spec.groups:
            from skate.engine.dask.threaded import Pool

            self.pools = {group: Pool(self, size, group) for group, size in spec.groups.items()}
            self.pools[""] = Pool(self, spec.concurrency, "calls")

    def _creation_error(self, running: Running, failure: BaseException) -> Blob:
        inner = task_error(self, running.name, failure, running.key).value()
        hexed = running.key.to_bytes(16, "big").hex()
        return error_blob(creation_error(failure, inner, self.class_name, hexed))

    # -- the end ----------------------------------------

    def exit_from_code(self, error: SystemExit) -> NoReturn:
        """`exit_actor()`, or `sys.exit()` in user code: the process ends."""
        if isinstance(error, ActorExit):
            self.finish(error.cause)
        if self.actor is not None:
            self.finish(f"its method called sys.exit({error.code!r}).")
        self._flush()
        os._exit(error.code if isinstance(error.code, int) else 1)

    def finish(self, cause: str) -> NoReturn:
        """End the process, after what it has said has been written."""
        if self.pools:
            for pool in self.pools.values():
                pool.drain(but_this_thread=True)
        if self.actor is not None:
            self.out.put(("ending", cause))
        self._flush()
        instance, self.instance = self.instance, None
        del instance
        os._exit(0)

    def _flush(self) -> None:
        for stream in self.printing:
            stream.end_line()
        written = threading.Event()
        self.out.put(written)
        written.wait(5)
