"""The local engine as one process sees it: the contract's methods over the loop, the lanes, the actors and the objects."""

from __future__ import annotations

import itertools
import os
import pickle
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorMeta, ActorState, ClassSpec, MethodSpec
from skate.core.context import TaskInfo
from skate.core.environment import merge_env
from skate.core.function import FunctionSpec
from skate.core.labels import unmet
from skate.core.options import ActorOptions, MethodOptions, TaskOptions
from skate.core.ref import (
    ERROR,
    INDEX_BITS,
    PENDING,
    REMOTE,
    STORED,
    VALUE,
    ObjectRef,
    ObjectRefGenerator,
    Stream,
)
from skate.engine.base import Engine, InitConfig
from skate.engine.local import protocol, wire
from skate.engine.local.client.actors import ActorCalls
from skate.engine.local.client.calls import Call, dump_error, pack_args, plain
from skate.engine.local.client.lanes import Lanes
from skate.engine.local.client.loop import FirstError, Latch, Loop
from skate.engine.local.client.objects import ACTOR, Guard, Objects

if TYPE_CHECKING:
    import asyncio

NODE_ID = "00" * 27 + "01"
current_task: ContextVar[Any] = ContextVar("skate_task", default=None)
"""In a worker: what runs in this thread or coroutine (`worker.main.Running`)."""

_plain_methods = MethodOptions(num_returns=1)


class Exported(NamedTuple):
    """A function or class, pickled: `payload` is a pickle, or the key of one in the store."""

    engine: int
    number: int
    name: str
    payload: Any
    held: Any


class LocalEngine(Engine):
    """One process's part in a local session."""

    name = "local"

    def __init__(
        self, node: Any, number: int, settings: dict[str, Any], arena_fd: int, namespace: str
    ) -> None:
        self.settings = settings
        self.token: bytes = settings["token"]
        self.number = number
        self.namespace = namespace
        self.address = settings["node_path"]
        self.config = InitConfig()
        self.now = time.monotonic
        self.keys = itertools.count((number << 64) | (1 << INDEX_BITS), 1 << INDEX_BITS)
        self.loop = Loop(self._housekeep, self._busy, self._before_poll)
        self.loop.on_lost = self._conn_lost
        self.objects = Objects(self, arena_fd, max(settings["store_bytes"], 4096))
        self.lanes = Lanes(self)
        self.actor_calls = ActorCalls(self)
        self.reclaims: dict[int, float] = {}
        self.pending: dict[int, Call] = {}
        self.requests: dict[int, tuple[Latch, list[Any]]] = {}
        self._request_numbers = itertools.count(1)
        self._lane_of: dict[int, tuple[Any, Any, Any]] = {}
        self.ended = ""
        self.job_env: dict[str, Any] = {}
        self.bye = Latch(1)
        self.node = wire.Conn(node)
        self.node.on_messages = self._on_node
        self.on_node_message: Callable[[tuple[Any, ...]], None] | None = None
        self.before_block: Callable[[], bool] | None = None
        """In a worker: called when the calling code is about to wait; True if its CPU may be lent meanwhile."""
        self.after_block: Callable[[], None] = lambda: None
        self.loop.add(self.node)
        self.print_log: Callable[[str, str, int, bytes], None] = lambda *_: None

    # -- the loop's questions ----------------------------------------

    def _busy(self) -> bool:
        return bool(
            self.pending
            or self.lanes.links
            or self.loop.dirty
            or self.objects.drops
            or self.objects.changes
            or self.objects.unpins
            or self.requests
        )

    def _before_poll(self) -> None:
        objects = self.objects
        if objects.drops or objects.changes or objects.unpins or self.lanes.dirty or self.loop.dirty:
            with self.loop.mutex:
                self.flush_all()

    def flush_all(self) -> None:
        """Write all that waits to be written, the node's part first (with the mutex held)."""
        self.objects.flush_counts()
        if self.lanes.dirty:
            self.lanes.pump_dirty()
        if self.node.out:
            self.loop.flush(self.node)
        if self.loop.dirty:
            self.loop.flush_dirty()

    def _housekeep(self, now: float) -> None:
        self.loop.housekeeping_due = self.lanes.housekeep(now)

    def _conn_lost(self, conn: wire.Conn) -> None:
        if conn is self.node:
            self._node_lost()
        elif not self.lanes.conn_lost(conn) and not self.actor_calls.conn_lost(conn):
            self.loop.remove(conn)

    def _node_lost(self) -> None:
        """The node is gone: everything that waits fails."""
        self.loop.remove(self.node)
        if not self.ended:
            self.ended = "the session's node process has died."
        self.bye(None)
        self.fail_all()
        if self.on_node_message is not None:
            self.on_node_message((protocol.BYE,))

    def fail_all(self) -> None:
        """Fail every call and request under way (with the mutex held)."""
        error = dump_error(exceptions.RaySystemError(f"the session has ended: {self.ended}"))
        for call in list(self.pending.values()):
            self.fail(call, error)
        for ref in list(self.objects.wanted.values()):
            self.objects.arrived(ref._key, ERROR, error)
        for latch, _answer in self.requests.values():
            latch(None)

    # -- the node's messages ----------------------------------------

    def _on_node(self, _conn: wire.Conn, messages: list[Any]) -> None:
        for message in messages:
            op = message[0]
            if op == protocol.REPLY:
                found = self.requests.get(message[1])
                if found is not None:
                    found[1].append(message[2])
                    found[0](None)
            elif op == protocol.GRANT:
                self.lanes.granted(*message[1:])
            elif op == protocol.OBJECT:
                self.objects.arrived(message[1], message[2], message[3])
            elif op == protocol.ACTOR:
                self.actor_calls.changed(*message[1:])
            elif op == protocol.RECLAIM:
                self.lanes.reclaim(message[1])
            elif op == protocol.LOST:
                self.lanes.lost(*message[1:])
            elif op == protocol.PROBE:
                self.node.send((protocol.PROBED, message[1]))
                self.loop.dirty.add(self.node)
            elif op == protocol.LOG:
                self.loop.deferred.append((self._print_log, message))
            elif op == protocol.WARN:
                self.loop.deferred.append((self._warn, message[1]))
            elif op == protocol.BYE:
                self.bye(None)
            elif self.on_node_message is not None:
                self.on_node_message(message)

    def _print_log(self, message: tuple[Any, ...]) -> None:
        self.print_log(*message[1:])

    def _warn(self, text: str) -> None:
        import logging

        logging.getLogger("skate").warning("%s", text)

    def tell(self, *message: Any) -> None:
        """Send the node a message."""
        with self.loop.mutex:
            self.node.send(message)
            self.loop.flush(self.node)

    def ask(self, op: int, *rest: Any) -> Any:
        """Ask the node and wait for its answer.

        Raises:
            RaySystemError: the node is gone.
        """
        number = next(self._request_numbers)
        latch = Latch(1)
        answer: list[Any] = []
        with self.loop.mutex:
            if self.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
            self.requests[number] = (latch, answer)
            self.objects.flush_counts()
            self.node.send((op, number, *rest))
            self.loop.flush(self.node)
        self.loop.nudge()  # what is asked for is let go of later, perhaps when nobody waits
        try:
            self.loop.wait(latch, None)
        finally:
            with self.loop.mutex:
                del self.requests[number]
        if not answer:
            raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
        return answer[0]

    # -- submitting ----------------------------------------

    def export(self, spec: FunctionSpec | ClassSpec) -> Exported:
        """The pickled function or class; made once a session."""
        found: Exported | None = spec.exported
        if found is not None and found.engine == id(self):
            return found
        raise RuntimeError(f"{spec.name} was not prepared before it was sent.")

    def prepare(self, spec: FunctionSpec | ClassSpec) -> None:
        """Pickle a function or class, before the mutex is taken.

        Raises:
            TypeError: it can't be pickled.
        """
        thing = spec.function if isinstance(spec, FunctionSpec) else spec.cls
        what = "function" if isinstance(spec, FunctionSpec) else "actor class"
        try:
            packed = serialize.pack(thing)
        except Exception as error:
            raise TypeError(
                f"Could not serialize the {what} {spec.module}.{spec.name}: {error} It refers to something that can't be "
                "pickled: use skate.util.inspect_serializability() to see what, and create that inside the function instead."
            ) from error
        number = next(self.keys)
        if packed.size() > serialize.INLINE_LIMIT:
            self.objects.store(number, packed)
            payload: Any = number
            held: Any = (Guard(self.objects.drop, number), packed.nested)
        else:
            self.objects.escape(packed.nested)
            payload = packed.inline()
            held = packed.nested
        spec.exported = Exported(id(self), number, spec.name, payload, held)

    def submit_task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        exported = spec.exported
        if exported is None or exported.engine != id(self):
            self.prepare(spec)
        found = self._lane_of.get(id(options))
        if found is None:
            found = self._find_lane(options, spec)
        lane, extra = found[1], found[2]
        if lane is None:
            return self._unschedulable(spec, options, extra)
        call = self._call(spec, options, args, kwargs)
        call.lane = lane
        call.extra = extra
        call.retries = options.max_retries
        call.name = spec.name
        returned = self._outputs(call, options.num_returns)
        running = current_task.get()
        if running is not None:
            call.parent = running.key
        with self.loop.mutex:
            if self.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
            self.pending[call.key] = call
            if call.slots is None or self._ready(call):
                self.lanes.add(call)
                if self.node.out:
                    self.loop.flush(self.node)
                if len(self.loop.dirty):
                    self.loop.flush_dirty()
        self.loop.nudge()
        return returned

    def _find_lane(self, options: TaskOptions, spec: FunctionSpec) -> tuple[Any, Any, Any]:
        if len(self._lane_of) > 1024:
            self._lane_of.clear()
        nowhere = _unplaceable(options.scheduling_strategy)
        if nowhere:
            return options, None, nowhere
        extra: dict[str, Any] = {}
        if options.name:
            extra["name"] = options.name
        if options.max_calls:
            extra["max_calls"] = options.max_calls
        if options.generator_backpressure:
            extra["backpressure"] = options.generator_backpressure
        env = self._env(options.runtime_env)
        demand = {**options.demand(), **unmet(self._labels(), options.label_selector)}
        with self.loop.mutex:
            lane = self.lanes.lane(demand, env)
        # The options are kept beside the lane: while they are here, nothing else can have their id.
        found = (options, lane, extra or None)
        self._lane_of[id(options)] = found
        return found

    def _labels(self) -> dict[str, str]:
        return {"ray.io/node-id": NODE_ID, **self.settings["labels"]}

    def _unschedulable(self, spec: FunctionSpec, options: TaskOptions, why: str) -> Any:
        call = Call(next(self.keys), spec, options, protocol.ARGS_PLAIN, ())
        returned = self._outputs(call, options.num_returns)
        with self.loop.mutex:
            self.fail(
                call,
                dump_error(exceptions.TaskUnschedulableError(f"task {spec.name} can't be scheduled: {why}")),
            )
        return returned

    def _env(self, given: Any) -> str:
        return merge_env(self.job_env, given)

    def _call(self, spec: Any, options: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        key = next(self.keys)
        if not kwargs and plain(args):
            return Call(key, spec, options, protocol.ARGS_PLAIN, args)
        packed, slots = pack_args(args, kwargs, spec.name)
        if packed.size() > serialize.INLINE_LIMIT:
            stored = next(self.keys)
            self.objects.store(stored, packed)
            call = Call(key, spec, options, protocol.ARGS_STORED, stored)
            call.held = (Guard(self.objects.drop, stored), packed.nested)
        else:
            if packed.nested:
                self.objects.escape(packed.nested)
            call = Call(key, spec, options, protocol.ARGS_PACKED, packed.inline())
            call.held = packed.nested or None
        if slots:
            call.slots = slots
        return call

    def _outputs(self, call: Call, num_returns: Any) -> Any:
        key = call.key
        if num_returns == 1 or num_returns == "dynamic":
            ref: ObjectRef[Any] = ObjectRef(key)
            ref._call = call
            call.ref = ref
            return ref
        if num_returns == "streaming":
            call.ref = ObjectRef(key)
            call.ref._call = call
            call.stream = Stream(key, call.ref)
            call.stream.call = call
            return ObjectRefGenerator(call.stream)
        refs: list[ObjectRef[Any]] = [ObjectRef(key + index) for index in range(num_returns)]
        for ref in refs:
            ref._call = call
        call.refs = refs
        return list(refs) if refs else None

    def _ready(self, call: Call) -> bool:
        """Whether the refs among the arguments have values; if not, the call goes on when they have (with the mutex held)."""

        def go_on() -> None:
            if call.cancelled or not self._arguments_fine(call):
                return
            if call.actor is None:
                self.lanes.add(call)
            elif call.actor.meta.ordered:
                self.actor_calls.pump(call.actor._engine_state)
            else:
                self.actor_calls.add(call.actor._engine_state, call)

        if any(ref._kind in (PENDING, REMOTE) for ref in call.slots or ()):
            self._when_ready(call, go_on)
            return False
        return self._arguments_fine(call)

    def _when_ready(self, call: Call, go_on: Callable[[], None]) -> None:
        """Go on once the refs among the arguments have values, or errors (with the mutex held)."""
        waiting = [ref for ref in call.slots or () if ref._kind in (PENDING, REMOTE)]
        if not waiting:
            go_on()
            return

        def arrived(_ref: Any) -> None:
            call.waiting_for -= 1
            if not call.waiting_for:
                go_on()

        for ref in waiting:
            call.waiting_for += 1
            if ref._waiters is None:
                ref._waiters = [arrived]
            else:
                ref._waiters.append(arrived)
            if ref._kind == REMOTE:
                self.objects.want(ref)

    def _arguments_fine(self, call: Call) -> bool:
        for ref in call.slots or ():
            if ref._kind == ERROR:
                if call.actor is not None and call in call.actor._engine_state.queue:
                    call.actor._engine_state.queue.remove(call)
                self.fail(call, ref._value)
                return False
        self._name_inner_refs(call)
        return True

    def _name_inner_refs(self, call: Call) -> None:
        """Refs inside the values of arguments are found at the node by whoever unpickles them."""
        for ref in call.slots or ():
            if type(ref._guard) is list:
                self.objects.escape_locked(ref._guard)

    # -- results ----------------------------------------

    def finish(self, call: Call, kind: int, value: Any) -> None:
        """A result has come (with the mutex held)."""
        if kind == ERROR and call.retries and self._should_retry(call, value):
            return
        self.pending.pop(call.key, None)
        stream = call.stream
        if stream is not None:
            self._end_stream(stream, kind, value)
            kind, value = VALUE, None  # an error is told once: as the last item
        elif call.refs is not None:
            if kind == ERROR:
                for ref in call.refs:
                    self.objects.adopt(ref, kind, value)
            return
        if call.ref is not None:
            self.objects.adopt(call.ref, kind, value)

    def finish_many(self, call: Call, results: list[tuple[int, Any]]) -> None:
        """The results of a call with several (with the mutex held)."""
        self.pending.pop(call.key, None)
        for ref, (kind, value) in zip(call.refs or (), results, strict=True):
            self.objects.adopt(ref, kind, value)

    def fail(self, call: Call, error: Any) -> None:
        """End a call with an error of ours (with the mutex held)."""
        call.retries = 0
        self.finish(call, ERROR, error)

    def _should_retry(self, call: Call, value: Any) -> bool:
        wanted = call.options.retry_exceptions
        if not wanted or call.cancelled:
            return False
        if wanted is not True:
            try:
                error = serialize.unpack(value)
            except Exception:
                return False
            cause = getattr(error, "cause", None)
            if not isinstance(cause, wanted):
                return False
        call.retries -= 1
        call.attempts += 1
        self._again(call)
        return True

    def _again(self, call: Call) -> None:
        call.link = None
        if call.actor is not None:
            self.actor_calls.retry(call)
        else:
            call.lane.backlog.append(call)
            self.lanes.dirty.add(call.lane)

    def task_lost(self, call: Call, cause: str) -> None:
        """The worker that had the task is dead (with the mutex held)."""
        if call.cancelled:
            self.fail(
                call, dump_error(exceptions.TaskCancelledError(call.ref.task_id() if call.ref else None))
            )
        elif call.retries == 0:
            text = f"Task {call.name} did not end: {cause}."
            if call.attempts:
                text += f" It had been tried {call.attempts + 1} times."
            self.fail(call, dump_error(exceptions.WorkerCrashedError(text)))
        else:
            call.retries -= 1
            call.attempts += 1
            call.link = None
            call.lane.backlog.appendleft(call)

    # -- generators ----------------------------------------

    def item(self, call: Call, index: int, kind: int, value: Any) -> None:
        """A generator has yielded (with the mutex held)."""
        stream = call.stream
        if stream is None or index < stream.produced:
            return
        stream.produced = index + 1
        ref: ObjectRef[Any] = ObjectRef(call.key + index + 1)
        self.objects.adopt(ref, kind, value)
        stream.items.append(ref)
        for callback in stream.changed():
            callback(stream)

    def _end_stream(self, stream: Stream, kind: int, value: Any) -> None:
        if kind == ERROR:
            ref: ObjectRef[Any] = ObjectRef(stream.key + stream.produced + 1)
            ref._kind, ref._value = ERROR, value
            stream.items.append(ref)
        stream.done = True
        stream.call = None
        for callback in stream.changed():
            callback(stream)

    def wait_stream(self, stream: Stream, timeout: float | None) -> bool:
        latch = Latch(0)
        with self.loop.mutex:
            if stream.items or stream.done:
                return True
            latch.left = 1
            stream.waiters.append(latch)
        return self._wait(latch, timeout)

    def take_item(self, stream: Stream) -> ObjectRef[Any] | None:
        with self.loop.mutex:
            if not stream.items:
                return None
            ref = stream.items.popleft()
            stream.consumed += 1
            call = stream.call
            if call is not None and (
                call.options.generator_backpressure or (call.extra or {}).get("backpressure")
            ):
                self._to_worker(call, (protocol.TAKEN, call.key, stream.consumed))
            return ref

    def on_stream(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        with self.loop.mutex:
            ready = bool(stream.items or stream.done)
            if not ready:
                stream.waiters.append(lambda s: self.loop.deferred.append((callback, s)))
        if ready:
            callback(stream)

    def drop_stream(self, stream: Stream) -> None:
        call = stream.call
        if call is not None and not self.ended:
            self.loop.deferred.append((self._drop_stream, call))

    def _drop_stream(self, call: Call) -> None:
        with self.loop.mutex:
            self._to_worker(call, (protocol.DROP, call.key))

    def _to_worker(self, call: Call, message: tuple[Any, ...]) -> bool:
        conn = None
        if call.actor is not None:
            link = call.actor._engine_state
            if call.key in link.inflight:
                conn = link.conn
        elif call.link is not None:
            conn = call.link.conn
        if conn is None or conn.closed:
            return False
        conn.send(message)
        self.loop.flush(conn)
        return True

    # -- waiting ----------------------------------------

    def _wait(self, latch: Latch, timeout: float | None) -> bool:
        if latch.left <= 0:
            return True
        if self.before_block is None or not self.before_block():
            return self.loop.wait(latch, timeout)
        try:
            return self._wait_lending(latch, timeout)
        finally:
            self.after_block()

    def _wait_lending(self, latch: Latch, timeout: float | None) -> bool:
        # Most waits are short: the CPU is offered to others only when this one is not, or when we wait for a lease ourselves.
        patience = 0.002
        if any(lane.backlog and not lane.links for lane in self.lanes.by_number):
            patience = 0.0
        started = self.now()
        if timeout is not None and timeout <= patience:
            return self.loop.wait(latch, timeout)
        if patience and self.loop.wait(latch, patience):
            return True
        self.tell(protocol.BLOCKED)
        try:
            left = None if timeout is None else max(0.0, timeout - (self.now() - started))
            return self.loop.wait(latch, left)
        finally:
            self.tell(protocol.UNBLOCKED)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        for ref in refs:
            if ref._kind == PENDING or ref._kind == REMOTE:
                latch = FirstError(0)
                with self.loop.mutex:
                    if not any(other._kind == ERROR for other in refs):
                        self.objects.await_values(refs, latch)
                    self.flush_all()
                if not self._wait(latch, timeout) and latch.left > 0:
                    self._timed_out(refs, latch, timeout)
                for other in refs:
                    if other._kind == ERROR:
                        self._stop_waiting(refs, latch)
                        raise self.objects.error(other)
                break
        value = self.objects.value
        return [value(ref) for ref in refs]

    def _timed_out(self, refs: Sequence[ObjectRef[Any]], latch: Latch, timeout: float | None) -> None:
        waiting = self._stop_waiting(refs, latch)
        if self.ended:
            raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
        if waiting:
            raise exceptions.GetTimeoutError(
                f"Get timed out: {len(waiting)} of {len(refs)} objects were not ready after {timeout} s; the first is "
                f"{waiting[0]!r}. Wait longer, or look at skate.wait()."
            )

    def _stop_waiting(self, refs: Sequence[ObjectRef[Any]], latch: Latch) -> list[ObjectRef[Any]]:
        waiting = []
        with self.loop.mutex:
            for ref in refs:
                if ref._waiters and latch in ref._waiters:
                    ref._waiters.remove(latch)
                    waiting.append(ref)
        return waiting

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        if num_returns == 1 and type(refs[0]) is ObjectRef and refs[0]._kind not in (PENDING, REMOTE):
            # The commonest use, a loop that takes one at a time, must not look at all of them each time.
            return [refs[0]], list(refs[1:])

        def ready(thing: Any) -> bool:
            if type(thing) is ObjectRef:
                return thing._kind not in (PENDING, REMOTE)
            stream = thing._stream
            return bool(stream.items or stream.done)

        latch = Latch(0)
        waiting: list[Any] = []
        with self.loop.mutex:
            done = sum(1 for thing in refs if ready(thing))
            if done < num_returns:
                for thing in refs:
                    if type(thing) is not ObjectRef:
                        if not ready(thing):
                            thing._stream.waiters.append(latch)
                            waiting.append(thing)
                    elif not ready(thing):
                        waiting.append(thing)
                        if thing._waiters is None:
                            thing._waiters = [latch]
                        else:
                            thing._waiters.append(latch)
                        if thing._kind == REMOTE:
                            self.objects.want(thing)
                latch.left = num_returns - done
            self.flush_all()
        if latch.left > 0:
            try:
                self._wait(latch, timeout)
            finally:
                with self.loop.mutex:
                    for thing in waiting:
                        waiters = thing._waiters if type(thing) is ObjectRef else thing._stream.waiters
                        if waiters and latch in waiters:
                            waiters.remove(latch)
        found: list[Any] = []
        rest: list[Any] = []
        for thing in refs:
            (found if len(found) < num_returns and ready(thing) else rest).append(thing)
        return found, rest

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        with self.loop.mutex:
            done = ref._kind not in (PENDING, REMOTE)
            if not done:
                waiters = ref._waiters
                if waiters is None:
                    waiters = ref._waiters = []
                waiters.append(lambda r: self.loop.deferred.append((callback, r)))
                if ref._kind == REMOTE:
                    self.objects.want(ref)
                self.flush_all()
        if done:
            callback(ref)
        self.loop.nudge()

    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        future = loop.create_future()
        thread = threading.get_ident()
        self.attach(loop)

        def settle(outcome: Any, failed: bool) -> None:
            if future.done():
                return
            if failed:
                future.set_exception(_for_future(outcome))
            else:
                future.set_result(outcome)

        def finish(done: ObjectRef[Any]) -> None:
            try:
                outcome, failed = self.objects.value(done), False
            except BaseException as error:
                outcome, failed = error, True
            if threading.get_ident() == thread:
                settle(outcome, failed)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome, failed)

        self.on_done(ref, finish)
        return future

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have an asyncio loop read the sockets while it runs."""
        if getattr(loop, "_skate_attached", None) is not self:
            try:
                loop.add_reader(self.loop.poller.fileno(), self.loop.try_step)
            except (NotImplementedError, AttributeError):
                return  # a loop that can't watch descriptors: the background thread serves it
            loop._skate_attached = self  # type: ignore[attr-defined]

    # -- objects ----------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        if self.ended:
            raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
        return self.objects.put(value)

    def restore_ref(self, key: int) -> ObjectRef[Any]:
        return self.objects.restore(key)

    def pin_forever(self, item: Any) -> None:
        self.objects.escape([item])
        self.objects.pinned.append(item)

    # -- actors ----------------------------------------

    def create_actor(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        if spec.exported is None or spec.exported.engine != id(self):
            self.prepare(spec)
        exported: Exported = spec.exported
        key = next(self.keys)
        ordered = (
            not spec.is_asyncio and (options.max_concurrency or 1) == 1 and not options.concurrency_groups
        )
        meta = ActorMeta(
            spec.name, spec.module, spec.methods, options.max_task_retries, options.max_pending_calls, ordered
        )
        call = self._call(spec, _plain_methods, args, kwargs)
        concurrency = options.max_concurrency or (1000 if spec.is_asyncio else 1)
        groups = dict(options.concurrency_groups or {})
        nested = [item._key if isinstance(item, ObjectRef) else item.key for item in _nested_of(call)]
        namespace = options.namespace or self.namespace
        packed_meta = pickle.dumps(meta, protocol=5)
        payload = exported.payload
        if isinstance(payload, int):
            nested.append(payload)
        if call.flag == protocol.ARGS_STORED:
            nested.append(call.args)
        about = {
            "name": options.name or "",
            "namespace": namespace,
            "detached": options.lifetime == "detached",
            "max_restarts": options.max_restarts,
            "creation_demand": {**options.creation_demand(), **unmet(self._labels(), options.label_selector)},
            "running_demand": dict(options.running_demand()),
            "env": self._env(options.runtime_env),
            "class_name": spec.name,
            "meta": packed_meta,
            "nested": tuple(nested),
            "host": (
                exported.number,
                spec.name,
                payload,
                call.flag,
                call.args,
                concurrency,
                groups,
                spec.is_asyncio,
                packed_meta,
                options.generator_backpressure,
            ),
        }
        state = ActorState(key, meta)
        nowhere = _unplaceable(options.scheduling_strategy)
        if nowhere:
            with self.loop.mutex:
                link = self.actor_calls.link(state, mine=True)
                link.state = "DEAD"
                text = f"actor {spec.name} can't be scheduled: {nowhere}"
                link.error = dump_error(exceptions.ActorUnschedulableError(text))
            return state
        with self.loop.mutex:
            if self.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
            self.node.send((protocol.PUBLISH, key, ACTOR, None, ()))
            state._guard = Guard(self.objects.drop, key)
            self.objects.actors[key] = weakref.ref(state)
            self.actor_calls.link(state, mine=True)
            self.actor_calls.creating[key] = state
        if options.name:
            # The name is taken at once, even if the constructor's arguments are still to come.
            taken = self.ask(protocol.CREATE_ACTOR, key, about)
            if taken is not None:
                with self.loop.mutex:
                    self.actor_calls.creating.pop(key)
                if not options.get_if_exists:
                    raise exceptions.ActorAlreadyExistsError(
                        f"The name {options.name!r} (namespace={namespace!r}) is already taken by a live actor. Use another name, "
                        "get_actor() to reach the one that has it, or get_if_exists=True."
                    )
                return self.restore_actor(taken[0], pickle.loads(taken[1]))
        with self.loop.mutex:
            if not options.name:
                self.node.send((protocol.CREATE_ACTOR, 0, key, about))
            self._when_ready(call, lambda: self._start_actor(key, call))
            self.flush_all()
        self.loop.nudge()
        return state

    def _start_actor(self, key: int, call: Call) -> None:
        """The constructor's arguments are there: the actor can be placed (with the mutex held)."""
        self.actor_calls.creating.pop(key, None)
        slots = None
        held: list[int] = []
        if call.slots:
            self._name_inner_refs(call)
            slots = [(r._kind, r._key if r._kind == STORED else r._value) for r in call.slots]
            held = [r._key for r in call.slots if r._kind == STORED]
            for ref in call.slots:
                if type(ref._guard) is list:
                    held += [item._key if isinstance(item, ObjectRef) else item.key for item in ref._guard]
        self.node.send((protocol.START_ACTOR, key, slots, tuple(held)))
        self.loop.dirty.add(self.node)

    def submit_actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        call = self._call(method, options, args, kwargs)
        call.actor = actor
        meta = actor.meta
        call.name = f"{meta.class_name}.{method.name}"
        retries = options.max_task_retries
        call.retries = meta.max_task_retries if retries is None else retries
        if options is not method.options or options.concurrency_group or options.generator_backpressure:
            extra: dict[str, Any] = {}
            if options.concurrency_group:
                extra["group"] = options.concurrency_group
            if options.name:
                extra["name"] = options.name
            if options.generator_backpressure:
                extra["backpressure"] = options.generator_backpressure
            call.extra = extra or None
        returned = self._outputs(call, options.num_returns)
        running = current_task.get()
        if running is not None:
            call.parent = running.key
        with self.loop.mutex:
            if self.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
            link = actor._engine_state
            if link is None:
                link = self.actor_calls.link(actor)
            if 0 <= meta.max_pending_calls <= link.unanswered():
                raise exceptions.PendingCallsLimitExceeded(
                    f"the {meta.class_name} actor has {link.unanswered()} unanswered calls from this process, and max_pending_calls is "
                    f"{meta.max_pending_calls}: get some results first, or raise the limit."
                )
            self.pending[call.key] = call
            ready = call.slots is None or self._ready(call)
            if call.key in self.pending and (ready or meta.ordered):
                self.actor_calls.add(link, call)
            if self.node.out:
                self.loop.flush(self.node)
        self.loop.nudge()
        return returned

    def kill_actor(self, actor: ActorState, no_restart: bool) -> None:
        self.tell(protocol.KILL_ACTOR, actor.key, no_restart)
        if no_restart:
            # The caller may rely on the actor being unreachable from now on.
            self.ask(protocol.SYNC)

    def find_actor(self, name: str, namespace: str | None) -> ActorState:
        space = namespace or self.namespace
        found = self.ask(protocol.FIND_ACTOR, name, space)
        if found is None:
            raise ValueError(
                f"Failed to look up actor with name {name!r}: no live actor has it in namespace {space!r}. Was it created with "
                "options(name=…), in that namespace, and is somebody holding a handle to it (or is it detached)?"
            )
        return self.restore_actor(found[0], pickle.loads(found[1]))

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        found = [(space, name) for space, name in self.ask(protocol.INFO, "actors")]
        return found if all_namespaces else [pair for pair in found if pair[0] == self.namespace]

    def restore_actor(self, key: int, meta: Any) -> ActorState:
        with self.loop.mutex:
            known = self.objects.actors.get(key)
            state = known() if known is not None else None
            if state is None:
                state = ActorState(key, meta)
                state._guard = Guard(self.objects.drop, key)
                self.objects.actors[key] = weakref.ref(state)
                self.objects.changes[key] = self.objects.changes.get(key, 0) + 1
            return state

    # -- cancelling ----------------------------------------

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        call: Call | None = ref._call
        if call is None or call.key not in self.pending:
            return
        if call.actor is not None and force:
            raise ValueError(
                "force=True is not supported for actor tasks: use skate.kill(actor) to end the actor itself."
            )
        with self.loop.mutex:
            self._cancel(call, force, recursive)
        self.loop.nudge()

    def _cancel(self, call: Call, force: bool, recursive: bool) -> None:
        call.cancelled = True
        error = dump_error(exceptions.TaskCancelledError(ObjectRef(call.key).task_id()))
        if call.actor is not None:
            link = call.actor._engine_state
            if call in link.queue:
                link.queue.remove(call)
                self.fail(call, error)
                return
        elif call.link is None:
            if call in call.lane.backlog:
                call.lane.backlog.remove(call)
            self.fail(call, error)
            return
        self._to_worker(call, (protocol.CANCEL, call.key, False, recursive))
        if force and call.link is not None:
            # Not by the worker itself: the task may hold its interpreter.
            self.node.send((protocol.KILL_WORKER, call.link.worker))
            self.loop.flush(self.node)

    def cancel_children(self, parent: int, force: bool) -> None:
        """Cancel what a task has called (with the mutex held)."""
        for call in list(self.pending.values()):
            if call.parent == parent:
                self._cancel(call, force and call.actor is None, True)

    # -- context ----------------------------------------

    def task_info(self) -> TaskInfo:
        info = TaskInfo(
            job_id="01000000",
            node_id=NODE_ID,
            worker_id=f"{self.number:056x}",
            namespace=self.namespace,
            mode="driver",
            labels=dict(self.settings["labels"]),
            session_name=os.path.basename(self.settings["session_dir"]),
            session_dir=self.settings["session_dir"],
            address=self.address,
            runtime_env=dict(self.job_env),
        )
        running = current_task.get()
        if running is not None:
            running.describe(info)
        return info

    def nodes(self) -> list[dict[str, Any]]:
        host = os.uname().nodename
        return [
            {
                "NodeID": NODE_ID,
                "Alive": True,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": host,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": "",
                "RayletSocketName": self.address,
                "MetricsExportPort": 0,
                "NodeName": "127.0.0.1",
                "RuntimeEnvAgentPort": 0,
                "DeathReason": 0,
                "DeathReasonMessage": "",
                "alive": True,
                "Resources": self.cluster_resources(),
                "Labels": self._labels(),
            }
        ]

    def cluster_resources(self) -> dict[str, float]:
        return dict(self.settings["resources"])

    def available_resources(self) -> dict[str, float]:
        found: dict[str, float] = self.ask(protocol.INFO, "available")
        return found

    def kv(self, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
        return self.ask(protocol.KV, action, key, value, namespace, overwrite)

    # -- the end ----------------------------------------

    def shutdown(self) -> None:
        raise NotImplementedError("only a driver's engine ends its session")

    def end(self, why: str) -> None:
        """Fail what waits and let go of every resource of this process."""
        with self.loop.mutex:
            self.ended = self.ended or why
            self.fail_all()
        self.loop.run_deferred()
        self.loop.close()
        self.lanes.close()
        self.objects.arena.close()


def _nested_of(call: Call) -> list[Any]:
    held = call.held
    if held is None:
        return []
    if isinstance(held, tuple):
        return list(held[1])
    return list(held)


def _unplaceable(strategy: Any) -> str:
    """Why a scheduling strategy can't be followed on a machine that is the only node; empty if it can."""
    if (
        type(strategy).__name__ != "NodeAffinitySchedulingStrategy"
        or strategy.soft
        or strategy.node_id == NODE_ID
    ):
        return ""
    return f"its node affinity is hard, and there is no node {strategy.node_id}; the only one is {NODE_ID}. Use soft=True."


def _for_future(error: BaseException) -> BaseException:
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration: {error}")
    return error


def write_log(stream: str, name: str, pid: int, text: bytes) -> None:
    """Print workers' output as this process's own, each line with who printed it."""
    target = sys.stdout if stream == "out" else sys.stderr
    prefix = f"({name} pid={pid}) "
    if target is not None and target.isatty():
        prefix = f"\x1b[36m{prefix.rstrip()}\x1b[0m "
    lines = text.decode(errors="replace").splitlines(keepends=True)
    try:
        target.write("".join(prefix + line for line in lines))
        target.flush()
    except (OSError, ValueError, AttributeError):
        return  # the driver has closed its own output: there is nobody to show it to
