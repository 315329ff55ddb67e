"""The local engine as one process sees it: the contract's methods over the loop, the lanes, the actors and the objects."""

from __future__ import annotations

import itertools
import marshal
import time
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.environment.fields import text_of
from skate.core.ref import INDEX_BITS, PROCESS_BITS, ObjectRef, Stream
from skate.engine.base import Engine, InitConfig, StateAnswer
from skate.engine.local import protocol, wire
from skate.engine.local.client.actors import ActorCalls
from skate.engine.local.client.cancels import Cancels
from skate.engine.local.client.creation import Creation
from skate.engine.local.client.exports import Exports
from skate.engine.local.client.facts import Facts
from skate.engine.local.client.groups import Groups
from skate.engine.local.client.history import History
from skate.engine.local.client.lanes import Lanes
from skate.engine.local.client.lineage import Lineage
from skate.engine.local.client.long_waits import LongWaits
from skate.engine.local.client.loop import Latch, Loop
from skate.engine.local.client.objects import Objects
from skate.engine.local.client.results import Results
from skate.engine.local.client.running import current_task
from skate.engine.local.client.streams import Streams
from skate.engine.local.client.submit import Submit
from skate.engine.local.client.waits import Waits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, TracebackType

    from skate.core.actor import ActorState, ClassSpec, MethodSpec
    from skate.core.function import FunctionSpec
    from skate.core.options import ActorOptions, MethodOptions, TaskOptions
    from skate.core.task_info import TaskInfo
    from skate.engine.local.client.calls import Call


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
        self.loop = Loop(self._housekeep, self._busy, self._pressing, self._before_poll)
        self.loop.on_lost = self._conn_lost
        self.objects = Objects(self, arena_fd, max(settings["store_bytes"], 4096))
        self.lanes = Lanes(self)
        self.actor_calls = ActorCalls(self)
        self.history = History(self)
        self.exports = Exports(self)
        self.submit = Submit(self)
        self.creation = Creation(self)
        self.results = Results(self)
        self.streams = Streams(self)
        self.waits = Waits(self)
        self.long_waits = LongWaits(self)
        self.cancels = Cancels(self)
        self.facts = Facts(self)
        self.groups = Groups(self)
        self.lineage = Lineage(self)
        self.reclaims: dict[int, float] = {}
        self.pending: dict[int, Call] = {}
        self.requests: dict[int, tuple[Callable[[Any], Any], list[Any]]] = {}
        self._request_numbers = itertools.count(1)
        self.ended = ""
        self.job_env: dict[str, Any] = {}
        self.base_env = text_of(settings["base_env"])
        self.bye = Latch(1)
        self.node = wire.Conn(node)
        self.node.on_messages = self._on_node
        self.on_node_message: Callable[[tuple[Any, ...]], None] | None = None
        self.before_block: Callable[[], bool] | None = None
        """In a worker: called when the calling code is about to wait; True if its CPU may be lent meanwhile."""
        self.after_block: Callable[[], None] = lambda: None
        self.loop.add(self.node)
        # Straight there: it runs for each of the thousands of refs that an object may hold.
        self.restore_ref = self.objects.restore  # type: ignore[method-assign]
        self.print_log: Callable[[str, str, int, bytes], None] = lambda *_: None
        self.debugger: Callable[[FrameType | None, TracebackType | None], None] | None = None
        """In a worker: stops there, with the driver's terminal."""
        self.running_now: Callable[[], list[tuple[int, float, str]]] = list
        """In a worker: what runs in it, for reports."""

    # -- the loop's questions ----------------------------------------

    def _busy(self) -> bool:
        return self._pressing() or self.objects.untold()

    def _pressing(self) -> bool:
        """Whether there is more to do than to tell of counts, which is cheaper for many at once."""
        return bool(
            self.pending or self.lanes.links or self.loop.dirty or self.objects.unpins or self.requests
        )

    def _before_poll(self) -> float | None:
        objects = self.objects
        if self.loop.dirty or self.lanes.dirty or objects.unpins or objects.untold():
            with self.loop.mutex:
                self.flush_all()
        return None

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
        self.results.fail_all()
        if self.on_node_message is not None:
            self.on_node_message((protocol.BYE,))

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
            elif op == protocol.FORGET:
                self.lineage.forget(message[1])
            elif op == protocol.OBJECT_LOST:
                self.lineage.lost(message[1])
            elif op == protocol.REFUSED:
                self.lanes.refused(*message[1:])
            elif op == protocol.LOST:
                self.lanes.lost(*message[1:])
            elif op == protocol.PROBE:
                self.node.send((protocol.PROBED, message[1]))
                self.loop.dirty.add(self.node)
            elif op == protocol.ENV_FAILED:
                self.lanes.env_failed(*message[1:])
            elif op == protocol.CANCEL_ELSEWHERE:
                self.cancels.asked(*message[1:])
            elif op == protocol.LOG:
                self.loop.deferred.append((self._print_log, message))
            elif op == protocol.WARN:
                self.loop.deferred.append((self._warn, message[1]))
            elif op == protocol.TELL:
                self.loop.deferred.append((self._tell, message))
            elif op == protocol.ATTACH:
                self.loop.deferred.append((self._lend_terminal, message))
            elif op == protocol.DEADLOCK:
                self.long_waits.condemned(message[1], message[2])
            elif op == protocol.BYE:
                self.bye(None)
            elif self.on_node_message is not None:
                self.on_node_message(message)

    def _tell(self, message: tuple[Any, ...]) -> None:
        _op, number, what, asked = message
        with self.loop.mutex:
            if not self.ended:
                self.node.send((protocol.TOLD, number, marshal.dumps(self.history.report(what, asked), 2)))
                self.loop.flush(self.node)

    def _lend_terminal(self, message: tuple[Any, ...]) -> None:
        from skate.engine.local import terminal

        terminal.lend(self, *message[1:])

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

    def ask_later(self, told: Callable[[Any], None], op: int, *rest: Any) -> None:
        """Ask the node; `told(answer)` is called with the mutex held, with None if the session ends first."""
        number = next(self._request_numbers)
        answer: list[Any] = []

        def answered(_nothing: Any) -> None:
            self.requests.pop(number, None)
            told(answer[0] if answer else None)

        with self.loop.mutex:
            if self.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
            self.requests[number] = (answered, answer)
            self.node.send((op, number, *rest))
            self.loop.flush(self.node)
        self.loop.nudge()

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

    # -- the contract: calls ----------------------------------------

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
        self.cancels.cancel(ref, force, recursive)

    # -- the contract: actors ----------------------------------------

    def create_actor(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        return self.creation.create(spec, options, args, kwargs)

    def kill_actor(self, actor: ActorState, no_restart: bool) -> None:
        self.creation.kill(actor, no_restart)

    def find_actor(self, name: str, namespace: str | None) -> ActorState:
        return self.creation.find(name, namespace)

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        return self.creation.named(all_namespaces)

    def restore_actor(self, key: int, meta: Any) -> ActorState:
        return self.creation.restore(key, meta)

    # -- the contract: objects ----------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        if self.ended:
            raise exceptions.RaySystemError(f"the session has ended: {self.ended}")
        return self.objects.put(value)

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

    def restore_ref(self, key: int) -> ObjectRef[Any]:
        return self.objects.restore(key)

    def owns(self, key: int) -> bool:
        # Processes of a session have numbers with the same upper bits: see `launch`.
        return key >> (64 + PROCESS_BITS) == self.number >> PROCESS_BITS

    def pin_forever(self, item: Any) -> None:
        self.objects.escape([item])
        self.objects.pinned.append(item)

    # -- the contract: generators ----------------------------------------

    def wait_stream(self, stream: Stream, timeout: float | None) -> bool:
        return self.streams.wait(stream, timeout)

    def take_item(self, stream: Stream) -> ObjectRef[Any] | None:
        return self.streams.take(stream)

    def on_stream(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        self.streams.watch(stream, callback)

    def drop_stream(self, stream: Stream) -> None:
        self.streams.drop(stream)

    # -- the contract: context ----------------------------------------

    def task_info(self) -> TaskInfo:
        return self.facts.task_info()

    def nodes(self) -> list[dict[str, Any]]:
        return self.facts.nodes()

    def cluster_resources(self) -> dict[str, float]:
        return self.facts.cluster_resources()

    def available_resources(self) -> dict[str, float]:
        return self.facts.available_resources()

    def create_group(self, about: Mapping[str, Any]) -> str:
        return self.groups.create(about)

    def remove_group(self, id: str) -> None:
        self.groups.remove(id)

    def find_group(self, name: str) -> tuple[str, list[dict[str, float]]] | None:
        return self.groups.find(name)

    def group_table(self, id: str) -> dict[str, dict[str, Any]]:
        return self.groups.table(id)

    def group_ready(self, id: str, value: Any) -> ObjectRef[Any]:
        return self.groups.ready(id, value)

    def state(self, what: str, timeout: float) -> StateAnswer:
        from skate.engine.local.state import StateReader

        def own(asked: str) -> dict[str, Any]:
            with self.loop.mutex:
                told: dict[str, Any] = self.history.report(asked, None)
                return told

        return StateReader(self.ask, own).read(what, timeout)

    def debug(self, frame: FrameType | None, trace: TracebackType | None) -> None:
        if self.debugger is None:
            super().debug(frame, trace)
        else:
            self.debugger(frame, trace)

    def add_span(self, event: str, started: float, ended: float, extra: dict[str, Any]) -> None:
        running = current_task.get()
        key = 0 if running is None else running.key
        self.history.spans.append((event, key, started, ended, extra))

    def add_machine(
        self, id: str, resources: Mapping[str, float], labels: Mapping[str, str], variables: Mapping[str, str]
    ) -> None:
        self.ask(protocol.ADD_MACHINE, id, dict(resources), dict(labels), dict(variables))

    def remove_machine(self, id: str) -> bool:
        return bool(self.ask(protocol.REMOVE_MACHINE, id))

    def kv(self, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
        return self.ask(protocol.KV, action, key, value, namespace, overwrite)

    # -- the end ----------------------------------------

    def shutdown(self) -> None:
        raise NotImplementedError("only a driver's engine ends its session")

    def end(self, why: str) -> None:
        """Fail what waits and let go of every resource of this process."""
        with self.loop.mutex:
            self.ended = self.ended or why
            self.results.fail_all()
            self.actor_calls.end()
        self.loop.run_deferred()
        self.loop.close()
        self.lanes.close()
        self.objects.arena.close()
