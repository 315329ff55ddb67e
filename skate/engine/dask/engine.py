"""The engine's contract in one process: the driver's, or one that runs user code. Its hub does the rest."""

from __future__ import annotations

import contextvars
import itertools
import logging
import pickle
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorMeta, ActorState, ClassSpec
from skate.core.environment import merge_env
from skate.core.function import FunctionSpec
from skate.core.ref import ERROR, INDEX_BITS, PENDING, REMOTE, ObjectRef, ObjectRefGenerator, Stream
from skate.engine.base import Engine, InitConfig
from skate.engine.dask import calls, streams
from skate.engine.dask.blob import Blob, blob_of, error_blob, names_of, raised
from skate.engine.dask.calls import (
    LARGE,
    NO_FORCE,
    ActorSpec,
    Call,
    Job,
    base_key,
    pack_args,
    pack_code,
    scaled,
)
from skate.engine.dask.refs import Latch, Refs

if TYPE_CHECKING:
    import asyncio

    from skate.core.actor import MethodSpec
    from skate.core.options import ActorOptions, MethodOptions, TaskOptions
    from skate.core.task_info import TaskInfo

current_task: contextvars.ContextVar[Any] = contextvars.ContextVar("skate_dask_task", default=None)
"""What runs in this thread or coroutine: an executor's `Running`, or None."""

_PREFIX_BITS = 64
_PATIENCE = 0.002  # seconds that a task waits before its CPU is offered to others


class Exported(NamedTuple):
    """A function or class as it is sent."""

    engine: object
    """Whose it is: other sessions make their own."""
    key: int
    code: Blob
    inside: list[Any]
    """The refs and actors in it."""
    stored: ObjectRef[Any] | None
    """Where it lies, if it is too large to travel with every call."""


class DaskEngine(Engine):
    """One process's part in a session on Dask."""

    name = "dask"

    def __init__(self, send: Callable[[tuple[Any, ...]], None], number: int, job: Job, address: str) -> None:
        self.send = send
        """Queues a message to the hub. It may be called anywhere, even in the middle of itself."""
        self.number = number
        self.job = job
        self.address = address
        self.config = InitConfig()
        self.refs = Refs(send)
        self.keys = itertools.count((number << _PREFIX_BITS) | (1 << INDEX_BITS), 1 << INDEX_BITS)
        self.streams = streams.Streams(self)
        self.pending: dict[int, int] = {}
        """Calls of this process that have not ended: the first ref's key, and the actor's (0 for a task)."""
        self.unanswered: dict[int, int] = {}
        """Calls that have not ended, by actor."""
        self.sequences: dict[int, tuple[int, int]] = {}
        """The number and key of the last call to each actor that keeps the order."""
        self.ended = ""
        self.pinned: list[Any] = []
        self.before_block: Callable[[], Any] | None = None
        self.after_block: Callable[[Any], None] = lambda _token: None
        self._asked: dict[int, tuple[Latch, list[Any]]] = {}
        self._numbers = itertools.count(1)
        self._awaited: dict[object, ObjectRef[Any]] = {}
        self._callbacks: queue.SimpleQueue[Any] | None = None
        self._callback_thread: threading.Thread | None = None

    # -- messages from the hub (in whichever thread they arrive) ----------------------------------------

    def on_message(self, message: tuple[Any, ...]) -> None:
        """The hub has something to say."""
        op = message[0]
        if op == "value":
            _op, key, blob = message
            self._finished(key)
            if not self.streams.ended(key, blob):
                self._run(self.refs.settle(key, blob.kind, blob))
        elif op == "ready":
            self._finished(message[1])
            self._run(self.refs.settle(message[1], REMOTE, None))
        elif op == "item":
            self.streams.item(*message[1:])
        elif op == "answer":
            _op, number, fine, value = message
            asked = self._asked.get(number)
            if asked is not None:
                asked[1].extend((fine, value))
                asked[0].open()
        elif op == "ended":
            self.end(message[1])

    def _finished(self, key: int) -> None:
        with self.refs.lock:
            actor = self.pending.pop(key, None)
            if actor:
                self.unanswered[actor] -= 1

    @staticmethod
    def _run(callbacks: list[tuple[Callable[[Any], None], Any]]) -> None:
        for callback, thing in callbacks:
            callback(thing)

    def ask(self, op: str, *args: Any) -> Any:
        """Ask the hub and wait for its answer.

        Raises:
            RaySystemError: the session has ended.
        """
        self._check_open()
        number = next(self._numbers)
        latch = Latch(1)
        answer: list[Any] = []
        self._asked[number] = (latch, answer)
        try:
            self.send(("ask", number, op, args))
            while not latch.wait(1.0):
                self._check_open()
        finally:
            del self._asked[number]
        self._check_open()
        fine, value = answer
        if not fine:
            raise value
        return value

    def _check_open(self) -> None:
        if self.ended:
            raise exceptions.RaySystemError(f"the session has ended: {self.ended}")

    def end(self, why: str) -> None:
        """Fail what waits: there will be no more answers."""
        self.ended = self.ended or why
        blob = error_blob(exceptions.RaySystemError(f"the session has ended: {why}"))
        for key in list(self.refs.by_key):
            self._run(self.refs.settle(key, ERROR, blob))
        self.streams.end_all(blob)
        for latch, _answer in list(self._asked.values()):
            latch.open()
        if self._callbacks is not None:
            self._callbacks.put(None)

    # -- submitting ----------------------------------------

    def _prepare(self, spec: FunctionSpec | ClassSpec) -> Exported:
        """A function or class, pickled once."""
        found: Exported | None = spec.exported
        if found is None or found.engine is not self:
            thing = spec.function if isinstance(spec, FunctionSpec) else spec.cls
            what = "function" if isinstance(spec, FunctionSpec) else "actor class"
            blob, nested = pack_code(thing, what, f"{spec.module}.{spec.name}")
            stored = self._put(blob) if blob.size() > LARGE else None
            found = spec.exported = Exported(self, next(self.keys), blob, nested, stored)
        return found

    def submit_task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        self._check_open()
        _engine, function_key, code, inside, stored = self._prepare(spec)
        blob, slots, nested = pack_args(args, kwargs, spec.name)
        call = Call(
            key=next(self.keys),
            name=spec.name,
            shown=options.name or spec.name,
            args=blob,
            returns=options.num_returns,
            job=self.job,
            module=spec.module,
            function=code,
            function_key=function_key,
            demand=scaled(options.demand()),
            env=merge_env(self.job.env, options.runtime_env),
            retries=options.max_retries,
            retry_exceptions=_retryable(options.retry_exceptions),
            max_calls=options.max_calls,
            backpressure=options.generator_backpressure,
        )
        placement = self._place(options)
        if isinstance(placement, str):
            error = exceptions.TaskUnschedulableError(f"task {spec.name} can't be scheduled: {placement}")
            return self._outputs(call, error_blob(error))
        call.nodes = placement
        if stored is not None:
            call.function, call.stored_function = None, True
        return self._submit("task", call, slots, stored, nested + inside)

    def _place(self, options: Any) -> tuple[str, ...] | str:
        """The nodes that a task may run on, all if empty; or why there is none."""
        strategy = options.scheduling_strategy
        affinity = type(strategy).__name__ == "NodeAffinitySchedulingStrategy"
        if not affinity and not options.label_selector:
            return ()
        nodes = self.ask("nodes")
        if affinity:
            if any(node["NodeID"] == strategy.node_id for node in nodes):
                return () if strategy.soft else (strategy.node_id,)
            if strategy.soft:
                return ()
            return f"its node affinity is hard, and there is no node {strategy.node_id}. Use soft=True."
        from skate.core.labels import unmet

        fitting = tuple(node["NodeID"] for node in nodes if not unmet(node["Labels"], options.label_selector))
        return fitting or ("none",)

    def _submit(
        self, op: str, call: Call, slots: list[ObjectRef[Any]], code: ObjectRef[Any] | None, nested: list[Any]
    ) -> Any:
        """Tell the hub of a call, and give out its refs. `slots`, `code` and `nested` live at least until the hub has heard."""
        call.slots = len(slots)
        beside = list(slots)
        if code is not None:
            beside.append(code)
        if call.args.size() > LARGE:
            beside.append(self._put(call.args))
            call.args, call.stored_args = Blob(0, b""), True
        running = current_task.get()
        if running is not None:
            call.parent = running.key
        with self.refs.lock:
            returned = self._outputs(call, None)
            self.pending[call.key] = call.actor
            if call.actor:
                self.unanswered[call.actor] = self.unanswered.get(call.actor, 0) + 1
        self.send((op, call, [ref._key for ref in beside], names_of(nested)))
        return returned

    def _outputs(self, call: Call, error: Blob | None) -> Any:
        returns = call.returns
        refs = [self._output(key, error) for key in call.outputs()]
        if returns == "streaming":
            stream = self.streams.open(call.key, refs[0], call.backpressure is not None)
            if error is not None:
                self.streams.ended(call.key, error)
            return ObjectRefGenerator(stream)
        if returns == 1 or isinstance(returns, str):
            return refs[0]
        return refs or None

    def _output(self, key: int, error: Blob | None) -> ObjectRef[Any]:
        ref = self.refs.new(key)
        ref._call = base_key(key)
        if error is not None:
            ref._kind, ref._value = ERROR, error
            self.send(("put", key, error))
        return ref

    def submit_actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        self._check_open()
        meta = actor.meta
        name = f"{meta.class_name}.{method.name}"
        blob, slots, nested = pack_args(args, kwargs, name)
        waiting = self.unanswered.get(actor.key, 0)
        if 0 <= meta.max_pending_calls <= waiting:
            raise exceptions.PendingCallsLimitExceeded(
                f"the {meta.class_name} actor has {waiting} unanswered calls from this process, and max_pending_calls is "
                f"{meta.max_pending_calls}: get some results first, or raise the limit."
            )
        retries = meta.max_task_retries if options.max_task_retries is None else options.max_task_retries
        call = Call(
            key=next(self.keys),
            name=name,
            shown=options.name or name,
            args=blob,
            returns=options.num_returns,
            job=self.job,
            retries=retries,
            retry_exceptions=_retryable(options.retry_exceptions),
            backpressure=options.generator_backpressure,
            actor=actor.key,
            method=method.name,
            group=options.concurrency_group,
        )
        with self.refs.lock:
            if meta.ordered:
                last, before = self.sequences.get(actor.key, (0, 0))
                call.sequence = (f"{self.number:x}", last + 1, before)
                self.sequences[actor.key] = (last + 1, call.key)
            return self._submit("call", call, slots, None, [*nested, actor])

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        key = base_key(ref._key)
        actor = self.pending.get(key)
        if actor is None:
            if ref._call is None and ref._kind == PENDING:
                self.ask("cancel", key, force, recursive)  # another process has called it
            return
        if actor and force:
            raise ValueError(NO_FORCE)
        self.send(("cancel", key, force, recursive))

    # -- actors ----------------------------------------

    def create_actor(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        self._check_open()
        _engine, _key, code, inside, _stored = self._prepare(spec)
        blob, slots, nested = pack_args(args, kwargs, spec.name)
        groups = dict(options.concurrency_groups or {})
        ordered = not spec.is_asyncio and (options.max_concurrency or 1) == 1 and not groups
        meta = ActorMeta(
            spec.name, spec.module, spec.methods, options.max_task_retries, options.max_pending_calls, ordered
        )
        placement = self._place(options)
        stored_args = blob.size() > LARGE
        if stored_args:
            slots.append(self._put(blob))
            blob = Blob(0, b"")
        key = next(self.keys)
        namespace = options.namespace or self.job.namespace
        state = ActorState(key, meta)
        described = ActorSpec(
            key=key,
            class_name=spec.name,
            cls=code,
            args=blob,
            meta=serialize.pack(meta).data,
            job=self.job,
            name=options.name or "",
            namespace=namespace,
            detached=options.lifetime == "detached",
            max_restarts=options.max_restarts,
            creation=scaled(options.creation_demand()),
            running=scaled(options.running_demand()),
            env=merge_env(self.job.env, options.runtime_env),
            concurrency=options.max_concurrency or (1000 if spec.is_asyncio else 1),
            groups=groups,
            is_asyncio=spec.is_asyncio,
            ordered=ordered,
            nodes=() if isinstance(placement, str) else placement,
            deps=tuple(ref._key for ref in slots),
            nested=names_of(nested + inside),
            slots=len(slots) - stored_args,
            stored_args=stored_args,
        )
        unplaced = f"actor {spec.name} can't be scheduled: {placement}" if isinstance(placement, str) else ""
        with self.refs.lock:
            self.refs.guard_actor(state)
            self.send(("adopt_new", key))
        if not options.name:
            self.send(("create", described, unplaced))
            return state
        taken = self.ask("create", described, unplaced)
        if taken is None:
            return state
        if not options.get_if_exists:
            raise exceptions.ActorAlreadyExistsError(
                f"The name {options.name!r} (namespace={namespace!r}) is already taken by a live actor. Use another name, "
                "get_actor() to reach the one that has it, or get_if_exists=True."
            )
        return self.restore_actor(taken[0], pickle.loads(taken[1]))

    def kill_actor(self, actor: ActorState, no_restart: bool) -> None:
        self.ask("kill", actor.key, no_restart)

    def find_actor(self, name: str, namespace: str | None) -> ActorState:
        space = namespace or self.job.namespace
        found = self.ask("find", name, space)
        if found is None:
            raise ValueError(
                f"Failed to look up actor with name {name!r}: no live actor has it in namespace {space!r}. Was it created with "
                "options(name=…), in that namespace, and is somebody holding a handle to it (or is it detached)?"
            )
        return self.restore_actor(found[0], pickle.loads(found[1]))

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        found = [(space, name) for space, name in self.ask("names")]
        return found if all_namespaces else [pair for pair in found if pair[0] == self.job.namespace]

    def restore_actor(self, key: int, meta: Any) -> ActorState:
        with self.refs.lock:
            state = self.refs.actors.get(key)
            if state is None:
                state = self.refs.guard_actor(ActorState(key, meta))
                self.send(("adopt", "actor", key))
            return state

    # -- objects ----------------------------------------

    def _put(self, blob: Blob) -> ObjectRef[Any]:
        ref = self.refs.new(next(self.keys))
        ref._kind, ref._value = blob.kind, blob
        self.send(("put", ref._key, blob))
        return ref

    def put(self, value: Any) -> ObjectRef[Any]:
        self._check_open()
        return self._put(blob_of(value))

    def restore_ref(self, key: int) -> ObjectRef[Any]:
        ref = self.refs.restore(key)
        if self.ended:
            blob = error_blob(exceptions.RaySystemError(f"the session has ended: {self.ended}"))
            self._run(self.refs.settle(key, ERROR, blob))
        return ref

    def pin_forever(self, item: Any) -> None:
        self.pinned.append(item)
        self.send(("pin", names_of([item])))

    def value(self, ref: ObjectRef[Any]) -> Any:
        """The value of a ref that is here.

        Raises:
            Exception: the ref's error.
        """
        if ref._kind == ERROR:
            raise raised(ref._value)
        try:
            return ref._value.value()
        except Exception as error:
            raise exceptions.RaySystemError(
                f"the value of {ref!r} can't be rebuilt here: {type(error).__name__}: {error}. Is the module that defines its type "
                "importable in this process, and does its unpickling work?"
            ) from error

    def wait_on(self, latch: Latch, timeout: float | None) -> bool:
        """Wait, and let others have our CPU meanwhile."""
        if latch.wait(0):
            return True
        if self.before_block is None or (timeout is not None and timeout <= _PATIENCE):
            return latch.wait(timeout)
        started = time.monotonic()
        if latch.wait(_PATIENCE):
            return True
        token = self.before_block()
        try:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
            return latch.wait(left)
        finally:
            self.after_block(token)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        latch = Latch(0, until_error=True)
        waiting: list[ObjectRef[Any]] = []
        with self.refs.lock:
            if not any(ref._kind == ERROR for ref in refs):
                for ref in dict.fromkeys(refs):
                    if self.refs.when(ref, "value", latch):
                        waiting.append(ref)
            latch.left = len(waiting)
        if waiting:
            self.send(("want", [ref._key for ref in waiting]))
            try:
                # What is ready already is only fetched: that is not what a timeout is about.
                patience = (
                    max(timeout, 5.0)
                    if timeout is not None and all(r._kind != PENDING for r in waiting)
                    else timeout
                )
                self.wait_on(latch, patience)
            finally:
                with self.refs.lock:
                    for ref in waiting:
                        self.refs.forget(ref, latch)
        for ref in refs:
            if ref._kind == ERROR:
                return [self.value(ref)]
        missing = [ref for ref in refs if ref._kind in (PENDING, REMOTE)]
        if missing:
            raise exceptions.GetTimeoutError(
                f"Get timed out: {len(missing)} of {len(refs)} objects were not ready after {timeout} s; the first is "
                f"{missing[0]!r}. Wait longer, or look at skate.wait()."
            )
        return [self.value(ref) for ref in refs]

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        def ready(thing: Any) -> bool:
            if type(thing) is ObjectRef:
                return thing._kind != PENDING
            return bool(thing._stream.items or thing._stream.done)

        latch = Latch(0)
        waiting: list[Any] = []
        with self.refs.lock:
            done = sum(1 for thing in refs if ready(thing))
            if done < num_returns:
                for thing in refs:
                    if ready(thing):
                        continue
                    waiting.append(thing)
                    if type(thing) is ObjectRef:
                        self.refs.when(thing, "ready", latch)
                    else:
                        thing._stream.waiters.append(latch)
                latch.left = num_returns - done
        if waiting:
            try:
                self.wait_on(latch, timeout)
            finally:
                with self.refs.lock:
                    for thing in waiting:
                        if type(thing) is ObjectRef:
                            self.refs.forget(thing, latch)
                        elif latch in thing._stream.waiters:
                            thing._stream.waiters.remove(latch)
        found: list[Any] = []
        rest: list[Any] = []
        for thing in refs:
            (found if len(found) < num_returns and ready(thing) else rest).append(thing)
        return found, rest

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        # The user's code must not hold up the thread that takes what arrives.
        if not self._when_here(ref, lambda done: self._later(callback, done)):
            callback(ref)

    def _when_here(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> bool:
        def arrived(done: ObjectRef[Any]) -> None:
            self._awaited.pop(token, None)
            callback(done)

        token = object()
        with self.refs.lock:
            waits = self.refs.when(ref, "value", arrived)
            if waits:
                self._awaited[token] = ref  # nobody else may have it
        if waits:
            self.send(("want", [ref._key]))
        return waits

    def _later(self, callback: Callable[[ObjectRef[Any]], None], ref: ObjectRef[Any]) -> None:
        with self.refs.lock:
            if self._callbacks is None:
                self._callbacks = queue.SimpleQueue()
                thread = threading.Thread(target=self._call_back, name="skate-callbacks", daemon=True)
                self._callback_thread = thread
                thread.start()
        self._callbacks.put((callback, ref))

    def _call_back(self) -> None:
        assert self._callbacks is not None
        while (job := self._callbacks.get()) is not None:
            callback, ref = job
            try:
                callback(ref)
            except Exception:
                logging.getLogger("skate").exception("a callback of a ref raised")
            del job, callback, ref

    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        future = loop.create_future()
        thread = threading.get_ident()

        def settle(outcome: Any, failed: bool) -> None:
            if future.done():
                return
            if failed:
                future.set_exception(_for_future(outcome))
            else:
                future.set_result(outcome)

        def finish(done: ObjectRef[Any]) -> None:
            try:
                outcome, failed = self.value(done), False
            except BaseException as error:
                outcome, failed = error, True
            if threading.get_ident() == thread:
                settle(outcome, failed)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome, failed)

        if not self._when_here(ref, finish):
            finish(ref)
        return future

    # -- generators ----------------------------------------

    def wait_stream(self, stream: Stream, timeout: float | None) -> bool:
        return self.streams.wait(stream, timeout)

    def take_item(self, stream: Stream) -> ObjectRef[Any] | None:
        return self.streams.take(stream)

    def on_stream(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        self.streams.when(stream, callback)

    def drop_stream(self, stream: Stream) -> None:
        self.send(("drop_stream", stream.key))

    # -- context ----------------------------------------

    def task_info(self) -> TaskInfo:
        from skate.core.task_info import TaskInfo

        info = TaskInfo(
            job_id=self.job.job_id,
            node_id=self.node_id(),
            worker_id=f"{self.number:056x}"[-56:],
            namespace=self.job.namespace,
            mode="driver",
            labels=self.labels(),
            session_name=self.job.session,
            session_dir=self.config.spill_directory or "",
            address=self.address,
            runtime_env=dict(self.job.env),
        )
        running = current_task.get()
        if running is not None:
            running.describe(info)
        return info

    def node_id(self) -> str:
        """The node of this process."""
        return calls.node_id_of(self.address)

    def labels(self) -> dict[str, str]:
        """The labels of this process's node."""
        return dict(self.config.labels)

    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("nodes")
        return found

    def cluster_resources(self) -> dict[str, float]:
        found: dict[str, float] = self.ask("resources")
        return found

    def available_resources(self) -> dict[str, float]:
        found: dict[str, float] = self.ask("available")
        return found

    def kv(self, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
        return self.ask("kv", action, key, value, namespace, overwrite)

    # -- the end ----------------------------------------

    def shutdown(self) -> None:
        raise NotImplementedError("only a driver's engine ends its session")


def _retryable(given: Any) -> Any:
    if given is None or isinstance(given, bool):
        return bool(given)
    return serialize.pack(tuple(given)).data


def _for_future(error: BaseException) -> BaseException:
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration: {error}")
    return error
