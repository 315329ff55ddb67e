"""The engine's contract in one process: the driver's, or one that runs user code. Its hub does the rest."""

from __future__ import annotations

import itertools
import os
import pickle
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.actor import ActorState, ClassSpec
from skate.core.ref import ERROR, INDEX_BITS, PENDING, REMOTE, ObjectRef, Stream
from skate.engine.base import Engine, InitConfig, StateAnswer
from skate.engine.dask import calls, streams
from skate.engine.dask.blob import Blob, blob_of, error_blob, names_of
from skate.engine.dask.calls import NO_FORCE, Job, base_key
from skate.engine.dask.refs import Latch, Refs
from skate.engine.dask.submit import Submit, current_task
from skate.engine.dask.waits import Waits

if TYPE_CHECKING:
    import asyncio

    from skate.core.actor import MethodSpec
    from skate.core.function import FunctionSpec
    from skate.core.options import ActorOptions, MethodOptions, TaskOptions
    from skate.core.task_info import TaskInfo

_PREFIX_BITS = 64
_SPANS = 10_000


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
        self.ended = ""
        self.pinned: list[Any] = []
        self.spans: deque[dict[str, Any]] = deque(maxlen=_SPANS)
        """Blocks that the user has marked in this process; one that runs user code gives them to its Dask worker."""
        self.keep_span: Callable[[dict[str, Any]], None] = self.spans.append
        self.before_block: Callable[[], Any] | None = None
        self.after_block: Callable[[Any], None] = lambda _token: None
        self._asked: dict[int, tuple[Latch, list[Any]]] = {}
        self._numbers = itertools.count(1)
        self.submit = Submit(self)
        self.waits = Waits(self)

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
        self.check_open()
        number = next(self._numbers)
        latch = Latch(1)
        answer: list[Any] = []
        self._asked[number] = (latch, answer)
        try:
            self.send(("ask", number, op, args))
            while not latch.wait(1.0):
                self.check_open()
        finally:
            del self._asked[number]
        self.check_open()
        fine, value = answer
        if not fine:
            raise value
        return value

    def check_open(self) -> None:
        """Refuse to go on in a session that has ended.

        Raises:
            RaySystemError: it has.
        """
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
        self.waits.end()

    # -- calls ----------------------------------------

    def submit_task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        return self.submit.task(spec, options, args, kwargs)

    def submit_actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        return self.submit.actor_call(actor, method, options, args, kwargs)

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
        return self.submit.create_actor(spec, options, args, kwargs)

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

    def put_blob(self, blob: Blob) -> ObjectRef[Any]:
        """Store what is pickled already."""
        ref = self.refs.new(next(self.keys))
        ref._kind, ref._value = blob.kind, blob
        self.send(("put", ref._key, blob))
        return ref

    def put(self, value: Any) -> ObjectRef[Any]:
        self.check_open()
        return self.put_blob(blob_of(value))

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
        return self.waits.value(ref)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        return self.waits.get(refs, timeout)

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        return self.waits.wait(refs, num_returns, timeout)

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        self.waits.on_done(ref, callback)

    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        return self.waits.wrap_asyncio(ref, loop)

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

    def state(self, what: str, timeout: float) -> StateAnswer:
        from skate.engine.dask import state

        return state.read(self, what)

    def read_log(self, node_id: str, filename: str, start: int) -> tuple[bytes, int]:
        data, after = self.ask("log", node_id, filename, start)
        return data, after

    def add_span(self, event: str, started: float, ended: float, extra: dict[str, Any]) -> None:
        running = current_task.get()
        wall = time.time() - time.monotonic()
        span = {
            "event": event,
            "task": 0 if running is None else running.key,
            "started": wall + started,
            "ended": wall + ended,
            "extra": extra,
            "worker": self.number,
            "pid": os.getpid(),
        }
        self.keep_span(span)

    # -- placement groups ----------------------------------------

    def create_group(self, about: Mapping[str, Any]) -> str:
        self.check_open()
        id = secrets.token_hex(14) + "01000000"
        described = {
            **about,
            "namespace": self.job.namespace,
            "client": self.job.client,
            "job_id": self.job.job_id,
        }
        if not self.ask("create_group", id, described):
            raise exceptions.RaySystemError(
                f"Failed to create placement group {id!r} because name {about['name']!r} already exists: use another name, or "
                "get_placement_group() to reach the one that has it."
            )
        return id

    def remove_group(self, id: str) -> None:
        self.ask("remove_group", id)

    def find_group(self, name: str) -> tuple[str, list[dict[str, float]]] | None:
        found: tuple[str, list[dict[str, float]]] | None = self.ask("find_group", name, self.job.namespace)
        return found

    def group_table(self, id: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.ask("group_table", id)
        return found

    def group_ready(self, id: str, value: Any) -> ObjectRef[Any]:
        self.check_open()
        ref = self.refs.new(next(self.keys))
        self.send(("put_inside", ref._key, blob_of(value), id))
        return ref

    # -- the shared dictionary ----------------------------------------

    def kv(self, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
        return self.ask("kv", action, key, value, namespace, overwrite)

    # -- the end ----------------------------------------

    def shutdown(self) -> None:
        raise NotImplementedError("only a driver's engine ends its session")
