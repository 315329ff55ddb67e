"""Actor calls: straight to the actor's worker, in order, and what becomes of them when it dies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ERROR, ObjectRef
from skate.engine.local import protocol, wire
from skate.engine.local.client.calls import Call, dump_error, env_error
from skate.engine.local.client.lanes import _widen

if TYPE_CHECKING:
    from skate.core.actor import ActorState
    from skate.engine.local.client.engine import LocalEngine


class ActorLink:
    """An actor as this process calls it."""

    __slots__ = (
        "about",
        "cause",
        "conn",
        "error",
        "inflight",
        "key",
        "name",
        "place",
        "queue",
        "restarts",
        "state",
        "worker",
    )

    def __init__(self, key: int, name: str) -> None:
        self.key = key
        self.place = -key
        self.name = name
        self.state = "UNKNOWN"
        self.conn: wire.Conn | None = None
        self.worker = 0
        self.queue: deque[Call] = deque()
        """Calls not sent yet, in order."""
        self.inflight: dict[int, Call] = {}
        self.cause = ""
        self.error: Any = None
        self.restarts = 0
        self.about = (0, "", "")
        """(pid, name, namespace), for the error that tells of its death."""

    def unanswered(self) -> int:
        """Calls without an answer."""
        return len(self.queue) + len(self.inflight)


class ActorCalls:
    """All actors that this process calls. Every method is called with the engine's mutex held."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.links: dict[int, ActorLink] = {}
        self.creating: dict[int, ActorState] = {}
        """Actors whose constructor's arguments are still to come; kept, as their creation is owed."""

    def link(self, actor: ActorState, mine: bool = False) -> ActorLink:
        """The link to an actor; watched from now on."""
        link = actor._engine_state
        if link is None:
            link = self.links.get(actor.key)
            if link is None:
                link = self.links[actor.key] = ActorLink(actor.key, actor.meta.class_name)
                if not mine:
                    self.engine.node.send((protocol.WATCH_ACTOR, actor.key))
                    self.engine.loop.dirty.add(self.engine.node)
            actor._engine_state = link
        found: ActorLink = link
        return found

    def add(self, link: ActorLink, call: Call) -> None:
        """A call has been made."""
        if link.state == "DEAD":
            self.engine.results.fail(call, self._death(link))
            return
        link.queue.append(call)
        if link.conn is not None:
            self.pump(link)

    def pump(self, link: ActorLink) -> None:
        """Send the calls at the head whose arguments are there."""
        conn = link.conn
        if conn is None:
            return
        queue = link.queue
        idle = not link.inflight
        while queue and not queue[0].waiting_for:
            call = queue.popleft()
            link.inflight[call.key] = call
            conn.send(call.message(protocol.CALL, call.spec.name))
        if conn.out:
            if idle:
                self.engine.loop.flush(conn)
            else:
                self.engine.loop.dirty.add(conn)

    def changed(
        self,
        key: int,
        state: str,
        path: str,
        worker: int,
        cause: str,
        error: Any,
        restarts: int,
        about: tuple[int, str, str, bool],
    ) -> None:
        """The node's news of an actor."""
        if about[3]:
            self.engine.lineage.on = True
        link = self.links.get(key)
        if link is None:
            return
        link.cause = cause
        link.error = error
        link.state = state
        link.restarts = restarts
        link.about = about[:3]
        if state == "ALIVE" and link.worker != worker:
            self._connect(link, path, worker)
        elif state in ("RESTARTING", "DEAD"):
            self._disconnected(link)
            if state == "DEAD":
                death = self._death(link)
                calls = [*link.inflight.values(), *link.queue]
                link.inflight.clear()
                link.queue.clear()
                for call in calls:
                    self.engine.results.fail(call, self._cancelled(call) if call.cancelled else death)

    def _connect(self, link: ActorLink, path: str, worker: int) -> None:
        try:
            sock = wire.connect(path, self.engine.token, str(self.engine.number).encode())
        except OSError:
            return  # it has died since: the node's next news says what comes
        _widen(sock)
        conn = wire.Conn(sock, link)
        conn.on_messages = self.on_messages
        link.conn = conn
        link.worker = worker
        self.engine.loop.add(conn)
        self.pump(link)

    def _disconnected(self, link: ActorLink) -> None:
        """The worker is gone: calls under way are made again if they may be, and fail otherwise."""
        conn = link.conn
        if conn is not None:
            while not conn.closed:
                try:
                    messages = conn.receive()
                except wire.ProtocolError:
                    break
                if not messages:
                    break
                self.on_messages(conn, messages)
            self.engine.loop.remove(conn)
            link.conn = None
        calls = list(link.inflight.values())
        link.inflight.clear()
        again = []
        for call in calls:
            if link.state == "RESTARTING" and call.retries != 0 and not call.cancelled:
                call.retries -= 1
                call.attempts += 1
                again.append(call)
            elif link.state == "RESTARTING":
                self.engine.results.fail(
                    call, self._cancelled(call) if call.cancelled else self._unavailable(link)
                )
            else:
                link.inflight[call.key] = call
        link.queue.extendleft(reversed(again))

    @staticmethod
    def _cancelled(call: Call) -> bytes:
        return dump_error(exceptions.TaskCancelledError(ObjectRef(call.key).task_id()))

    def _unavailable(self, link: ActorLink) -> bytes:
        return dump_error(
            exceptions.ActorUnavailableError(
                f"during this call {link.cause.removesuffix('.')}, and the {link.name} actor is being restarted. Set "
                "max_task_retries to have such calls made again",
                link.key.to_bytes(16, "big"),
            )
        )

    def _death(self, link: ActorLink) -> Any:
        if type(link.error) is tuple and link.error[0] == protocol.ENV_FAILED:
            return env_error(link.error[1])
        if link.error is not None:
            return link.error
        restarts = f". It had been restarted {link.restarts} times" if link.restarts else ""
        pid, name, namespace = link.about
        context = exceptions.ActorDiedErrorContext(
            error_message=f"The actor is dead because {link.cause.removesuffix('.')}{restarts}.",
            actor_id=link.key.to_bytes(16, "big").hex(),
            class_name=link.name,
            name=name,
            ray_namespace=namespace,
            pid=pid,
            node_ip_address="127.0.0.1" if pid else "",
        )
        return dump_error(exceptions.ActorDiedError(context))

    def end(self) -> None:
        """The session is over here: a handle that is used later must not wait for news of its actor."""
        for link in self.links.values():
            link.state, link.error, link.restarts = "DEAD", None, 0
            link.cause = "its session has ended, or this program has left it. Create the actor again, or find it with get_actor()."

    def conn_lost(self, conn: wire.Conn) -> bool:
        """A connection broke; the node will say whether the actor restarts. False if it was not an actor's."""
        link = conn.peer
        if type(link) is not ActorLink:
            return False
        self.engine.loop.conns.pop(conn.fd, None)
        self.engine.loop.poller.remove(conn.fd)
        self.engine.loop.dirty.discard(conn)
        conn.close()
        if link.conn is conn:
            link.conn = None
        return True

    def on_messages(self, conn: wire.Conn, messages: list[Any]) -> None:
        """Results and items."""
        link: ActorLink = conn.peer
        inflight = link.inflight
        engine = self.engine
        ended = engine.history.ended.append
        for message in messages:
            op = message[0]
            if op == protocol.RESULT:
                call = inflight.pop(message[1], None)
                if call is not None:
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
                    engine.history.end(call, link.place, link.worker, message[4], message[3])
                    engine.results.finish_many(call, message[2])

    def retry(self, call: Call) -> None:
        """Make a call again whose method raised."""
        self.add(call.actor._engine_state, call)

    def forget(self, key: int) -> None:
        """No handle is left here."""
        link = self.links.pop(key, None)
        if link is not None and link.conn is not None:
            self.engine.loop.flush(link.conn)
            self.engine.loop.remove(link.conn)


__all__ = ["ERROR", "ActorCalls", "ActorLink"]
