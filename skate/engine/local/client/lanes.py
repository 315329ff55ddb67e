"""Tasks: each shape of resources has a lane, which leases workers from the node and feeds them.

A worker that is fed gets a few ms of work ahead, as far as the run times seen so far tell, so that it never waits for us; tasks that
turn out to be stuck behind a long one are taken back.
"""

from __future__ import annotations

import itertools
import socket
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.core.ref import ERROR
from skate.engine.local import protocol, wire
from skate.engine.local.client.calls import env_error
from skate.engine.local.refusals import refusal
from skate.engine.placement.where import SPREAD, Where

if TYPE_CHECKING:
    from skate.engine.local.client.calls import Call
    from skate.engine.local.client.engine import LocalEngine

BUDGET = 0.005
"""Seconds of work that a worker has ahead."""
LINGER = 0.1
"""Seconds that an idle lease is kept for the next task."""
SLICE = 0.02
"""Seconds for which a busy lease is kept although somebody else waits for it."""
KEPT = 64
"""Lanes that the node is told of at once, unless more are in use."""
CLOSED = -1


class Link:
    """A leased worker."""

    __slots__ = (
        "conn",
        "draining",
        "functions",
        "granted",
        "idle_since",
        "inflight",
        "lane",
        "load",
        "lost",
        "place",
        "progress",
        "stealing",
        "worker",
    )

    def __init__(self, worker: int, conn: wire.Conn, lane: Lane, now: float) -> None:
        self.worker = worker
        self.conn = conn
        self.lane = lane
        self.place = lane.shape
        self.inflight: dict[int, Call] = {}
        self.load = 0.0
        self.functions: set[int] = set()
        self.granted = now
        self.progress = now
        self.idle_since = now
        self.draining = False
        self.stealing = False
        self.lost = False


class Lane:
    """The tasks of one shape."""

    __slots__ = (
        "__weakref__",
        "backlog",
        "demanded",
        "env",
        "links",
        "number",
        "once",
        "resources",
        "retriable",
        "shape",
        "where",
    )

    def __init__(
        self, shape: int, resources: dict[str, float], env: str, where: Where, retriable: bool
    ) -> None:
        self.number = CLOSED
        """Its name at the node, while that knows it."""
        self.shape = shape
        self.resources = resources
        self.env = env
        self.where = where
        self.retriable = retriable
        self.once = where[0] == SPREAD
        """Whether a lease is for one task only: each task is to be placed by itself."""
        self.backlog: deque[Call] = deque()
        self.links: list[Link] = []
        self.demanded = 0

    def idle(self) -> bool:
        """Whether nothing is there for it to do."""
        return not (self.links or self.backlog or self.demanded)


class Lanes:
    """All lanes of one process. Every method is called with the engine's mutex held."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.lanes: weakref.WeakValueDictionary[tuple[Any, ...], Lane] = weakref.WeakValueDictionary()
        self.open: dict[int, Lane] = {}
        """Those that the node knows, by number, the longest known first."""
        self.shapes: dict[tuple[Any, ...], tuple[dict[str, float], str]] = {}
        """(resources, environment) of all lanes that ever were; a lane's `shape` is its place among them."""
        self._numbers = itertools.count()
        self.links: dict[int, Link] = {}
        self.by_conn: dict[wire.Conn, Link] = {}
        self.conns: dict[int, tuple[wire.Conn, set[int]]] = {}
        self.dirty: set[Lane] = set()

    def lane(self, resources: dict[str, float], env: str, where: Where, retriable: bool) -> Lane:
        """The lane of a shape."""
        key = (env, where, retriable, *sorted(resources.items()))
        found = self.lanes.get(key)
        if found is None:
            kind = (env, *sorted(resources.items()))
            self.shapes.setdefault(kind, (resources, env))
            shape = list(self.shapes).index(kind)
            found = self.lanes[key] = Lane(shape, resources, env, where, retriable)
        return found

    def add(self, call: Call) -> None:
        """A task is ready to run."""
        lane: Lane = call.lane
        lane.backlog.append(call)
        if lane in self.dirty:
            return
        if lane.demanded:
            for link in lane.links:
                if not link.inflight:
                    break
            else:
                self.dirty.add(lane)
                return
        self.pump(lane)

    def pump_dirty(self) -> None:
        """Look after the lanes that were only added to."""
        while self.dirty:
            self.pump(self.dirty.pop())

    def pump(self, lane: Lane) -> None:
        """Send what the leased workers have room for, and tell the node how many more could be used."""
        backlog = lane.backlog
        if backlog:
            links = [link for link in lane.links if not link.draining and link.load < BUDGET]
            share = -(-len(backlog) // len(links)) if links else 0
            for link in links:
                sent = 0
                while backlog and sent < share:
                    call = backlog[0]
                    careful = call.attempts > 0 or call.retries == 0
                    cost = BUDGET if careful else call.spec.cost
                    if link.inflight and link.load + cost > BUDGET:
                        break
                    backlog.popleft()
                    call.cost = cost
                    self._send(link, call)
                    sent += 1
                    if lane.once:
                        link.draining = True
                        break
        # A lease that is kept a moment for the next task is still wanted: a task at a time costs the node no message.
        wanted = len(lane.links) + min(len(backlog), 4096)
        if wanted != lane.demanded and (wanted > lane.demanded or not backlog):
            self._demand(lane, wanted)
        self.engine.loop.housekeeping_due = True

    def _demand(self, lane: Lane, wanted: int) -> None:
        lane.demanded = wanted
        shape = None
        if lane.number == CLOSED:
            lane.number = next(self._numbers)
            self.open[lane.number] = lane
            self._close_idle()
            name = lane.backlog[0].name if lane.backlog else "task"
            shape = (name, lane.resources, lane.env, lane.where, lane.retriable)
        self.engine.node.send((protocol.DEMAND, lane.number, wanted, shape))
        self.engine.loop.dirty.add(self.engine.node)

    def _close_idle(self) -> None:
        """Have the node forget lanes that are not used, when it knows many; one that is used again is opened again."""
        for lane in list(self.open.values()):
            if len(self.open) <= KEPT:
                return
            if lane.idle():
                self.engine.node.send((protocol.CLOSE_LANE, lane.number))
                del self.open[lane.number]
                lane.number = CLOSED

    def _send(self, link: Link, call: Call) -> None:
        function = self.engine.exports.export(call.spec)
        if function.number not in link.functions:
            link.functions.add(function.number)
            about = (function.number, function.name, function.module, function.payload)
            link.conn.send((protocol.FUNCTION, *about))
        if not link.inflight:
            link.progress = self.engine.now()
            link.load = 0.0
        link.inflight[call.key] = call
        link.load += call.cost
        call.link = link
        link.conn.send(call.message(protocol.TASK, function.number))
        self.engine.loop.dirty.add(link.conn)

    # -- the node's news ----------------------------------------

    def granted(self, number: int, worker: int, path: str, gpus: list[int], lease: int, mortal: bool) -> None:
        """The node has leased us a worker."""
        if mortal:
            self.engine.lineage.on = True
        lane = self.open.get(number)
        if lane is None:  # closed since: it had asked for more before than it then needed
            self.engine.node.send((protocol.RELEASE, worker))
            self.engine.loop.dirty.add(self.engine.node)
            return
        now = self.engine.now()
        known = self.conns.get(worker)
        if known is None:
            try:
                sock = wire.connect(path, self.engine.token, str(self.engine.number).encode())
            except OSError:
                # It died between the grant and now: the node will say so, and is told that we gave it up.
                self.engine.node.send((protocol.RELEASE, worker))
                self.engine.loop.dirty.add(self.engine.node)
                return
            _widen(sock)
            conn = wire.Conn(sock)
            conn.on_messages = self.on_messages
            self.engine.loop.add(conn)
            known = self.conns[worker] = (conn, set())
        conn, functions = known
        link = Link(worker, conn, lane, now)
        link.functions = functions
        conn.peer = link
        conn.send((protocol.LEASE, lane.resources, gpus, lease, lane.where))
        lane.links.append(link)
        self.links[worker] = link
        self.by_conn[conn] = link
        self.pump(lane)

    def reclaim(self, worker: int) -> None:
        """Somebody else waits for this worker."""
        link = self.links.get(worker)
        if link is not None:
            link.draining = True
            self._drain(link, self.engine.now())

    def _drain(self, link: Link, now: float) -> None:
        if not link.inflight:
            self._release(link)
        elif now - link.granted > SLICE and len(link.inflight) > 1 and not link.stealing:
            link.stealing = True
            link.conn.send((protocol.STEAL,))
            self.engine.loop.dirty.add(link.conn)
        elif now - link.granted <= SLICE:
            link.draining = False
            link.granted = min(link.granted, now)
            self.engine.reclaims[link.worker] = link.granted + SLICE

    def doom(self, link: Link) -> None:
        """The node has been asked to kill this worker: it gets no further task, and is not given back."""
        link.lost = link.draining = True

    def _release(self, link: Link) -> None:
        if link.lost:
            return  # the node tells of its end
        lane = link.lane
        lane.links.remove(link)
        del self.links[link.worker]
        self.by_conn.pop(link.conn, None)
        link.conn.peer = None
        # In this order: a worker given back while it still counts as wanted would be granted again at once.
        lane.demanded = -1
        self._demand(lane, len(lane.links) + len(lane.backlog))
        self.engine.node.send((protocol.RELEASE, link.worker))

    def refused(self, number: int, why: str, text: str) -> None:
        """What waits in a lane will never have a place."""
        lane = self.open.get(number)
        if lane is None:
            return
        calls = list(lane.backlog)
        lane.backlog.clear()
        lane.demanded = -1
        for call in calls:
            self.engine.results.fail(call, refusal(why, f"task {call.name}: {text}", actor=False))
        self.pump(lane)

    def lost(self, number: int, worker: int, cause: str, why: str) -> None:
        """A leased worker has died."""
        link = self.links.pop(worker, None)
        known = self.conns.pop(worker, None)
        if link is not None:
            link.lost = link.draining = (
                True  # nothing more is sent to it, and there is no lease left to give back
            )
        if known is not None:
            conn = known[0]
            # What it answered before it died is still in the socket.
            while not conn.closed:
                try:
                    messages = conn.receive()
                except wire.ProtocolError:
                    break
                if not messages:
                    break
                self.on_messages(conn, messages)
            self.engine.loop.remove(conn)
            self.by_conn.pop(conn, None)
        if link is None:
            return
        lane = link.lane
        if link in lane.links:
            lane.links.remove(link)
        calls = list(link.inflight.values())
        link.inflight.clear()
        for call in reversed(calls):
            self.engine.results.task_lost(call, cause, why)
        lane.demanded = -1
        self.pump(lane)

    def env_failed(self, number: int, text: str) -> None:
        """The environment of a lane can't be had: its tasks fail; a later one makes the node try again."""
        lane = self.open.get(number)
        if lane is None:
            return
        calls = list(lane.backlog)
        lane.backlog.clear()
        lane.demanded = len(lane.links)
        for call in calls:
            self.engine.results.fail(call, env_error(text))

    def conn_lost(self, conn: wire.Conn) -> bool:
        """A connection to a worker broke; the node will say what happened. False if it was not one of these."""
        link = self.by_conn.get(conn)
        for worker, (known, _functions) in self.conns.items():
            if known is conn:
                self.engine.loop.conns.pop(conn.fd, None)
                self.engine.loop.poller.remove(conn.fd)
                conn.closed = True
                self.engine.loop.dirty.discard(conn)
                if link is None:
                    del self.conns[worker]
                    conn.close()
                else:
                    link.draining = True
                    link.load = BUDGET
                return True
        return False

    # -- the workers' answers ----------------------------------------

    def on_messages(self, conn: wire.Conn, messages: list[Any]) -> None:
        """Results, items, and tasks given back."""
        link: Link | None = conn.peer
        if link is None:
            return
        inflight = link.inflight
        engine = self.engine
        ended = engine.history.ended.append
        for message in messages:
            op = message[0]
            if op == protocol.RESULT:
                call = inflight.pop(message[1], None)
                if call is None:
                    continue
                link.load -= call.cost
                spec = call.spec
                spec.cost = spec.cost * 0.5 + message[4] * 0.5e-6 + 1e-6
                kind, micros = message[2], message[4]
                if kind == ERROR:
                    micros = ~micros
                    engine.history.keep_failure(call, message[3])
                ended(
                    (
                        call.key,
                        call.attempts,
                        call.name,
                        call.extra,
                        call.parent,
                        call.created,
                        link.place,
                        link.worker,
                        message[5],
                        micros,
                    )
                )
                engine.results.finish(call, kind, message[3])
            elif op == protocol.ITEM:
                call = inflight.get(message[1])
                if call is not None:
                    engine.results.item(call, message[2], message[3], message[4])
            elif op == protocol.RESULTS:
                call = inflight.pop(message[1], None)
                if call is not None:
                    link.load -= call.cost
                    call.spec.cost = call.spec.cost * 0.5 + message[3] * 0.5e-6 + 1e-6
                    engine.history.end(call, link.place, link.worker, message[4], message[3])
                    engine.results.finish_many(call, message[2])
            elif op in (protocol.STOLEN, protocol.EXITING):
                link.stealing = False
                for key in reversed(message[1]):
                    call = inflight.pop(key, None)
                    if call is not None:
                        call.link = None
                        link.lane.backlog.appendleft(call)
                link.load = BUDGET
                if op == protocol.EXITING:
                    link.draining = True
        link.progress = engine.now()
        if not inflight:
            link.load = 0.0
            link.idle_since = link.progress
            if link.draining and not conn.closed:
                self._release(link)
        lane = link.lane
        if lane.backlog or not inflight:
            self.pump(lane)

    def close(self) -> None:
        """Close the connections that broke and whose end was never told."""
        for conn, _functions in self.conns.values():
            conn.close()

    def housekeep(self, now: float) -> bool:
        """Give idle leases back, take back tasks that are stuck. True while there is something to look after."""
        busy = False
        for worker, when in list(self.engine.reclaims.items()):
            link = self.links.get(worker)
            if link is None or not link.inflight or now >= when:
                del self.engine.reclaims[worker]
                if link is not None:
                    link.draining = True
                    self._drain(link, now)
            busy = True
        for link in list(self.links.values()):
            busy = True
            if not link.inflight:
                if now - link.idle_since > LINGER and not link.lane.backlog:
                    self._release(link)
            elif len(link.inflight) > 1 and now - link.progress > 2 * BUDGET and not link.stealing:
                link.stealing = True
                link.load = BUDGET
                link.conn.send((protocol.STEAL,))
                self.engine.loop.dirty.add(link.conn)
        return busy or any(lane.backlog for lane in self.open.values())


def _widen(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
