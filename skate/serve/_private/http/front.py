"""What every HTTP request goes through first: its route, its id, its place among others, and what errors become."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterable
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from skate.serve._private import tracing
from skate.serve._private.common import AppRoute, DeploymentID, RequestMeta
from skate.serve._private.config import DeploymentConfig
from skate.serve._private.errors import DeploymentGone
from skate.serve._private.figures import count_http
from skate.serve._private.http.forward import Forwarder
from skate.serve._private.http.handover import Receiver, Sender
from skate.serve._private.http.ingress import Ingress
from skate.serve._private.http.routes import RouteTable
from skate.serve._private.http.server import Server
from skate.serve._private.logs import logger
from skate.serve._private.replica.gate import Gate
from skate.serve._private.request_ids import new_request_id
from skate.serve._private.rest.token import is_right
from skate.serve._private.routing.router import Router, router_for
from skate.serve._private.routing.watch import Watch
from skate.serve.config import HTTPOptions
from skate.serve.context import RequestContext, _serve_request_context
from skate.serve.exceptions import BackPressureError, DeploymentUnavailableError

PROXY_SOCKET = "proxy"
_READ = frozenset(
    (
        b"x-request-id",
        b"serve_multiplexed_model_id",
        b"x-session-id",
        b"x-request-timeout-seconds",
        b"authorization",
        b"content-length",
    )
)
"""Headers that are looked at."""
_CLOSE = ((b"connection", b"close"),)
_ON_THE_WAY_S = 0.02
_LEAVING_S = 2.0


class Exchange:
    """One request under way, as the code around it sees it."""

    __slots__ = ("begun", "ended", "model_id", "request_id", "send", "session_id", "status", "timeout")

    def __init__(self, send: Send, request_id: str) -> None:
        self.send = send
        self.request_id = request_id
        self.status = 0
        self.begun = False
        self.ended = False
        self.model_id = ""
        self.session_id = ""
        self.timeout: float | None = None

    async def reply(self, message: Message) -> None:
        """Send a message of the answer; its head gets the request's id."""
        kind = message["type"]
        if kind == "http.response.start":
            self.begun = True
            self.status = message["status"]
            headers = message.get("headers") or []
            message["headers"] = [*headers, (b"x-request-id", self.request_id.encode("latin-1", "replace"))]
        elif kind == "http.response.body":
            self.ended = not message.get("more_body", False)
        elif kind == "websocket.accept":
            self.begun = True
            self.status = 101
        await self.send(message)


class Front:
    """The HTTP side of a process: a replica's, or the proxy's.

    Args:
        options: How HTTP is served.
        folder: Where the Unix sockets are through which connections are passed.
    """

    def __init__(self, options: HTTPOptions, folder: str) -> None:
        self.options = options
        self.table = RouteTable()
        self.server = Server(self, options)
        self.known = asyncio.Event()
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._local: DeploymentID | None = None
        self._ingress: Ingress | None = None
        self._gate: Gate | None = None
        self._router: Router | None = None
        self.config: DeploymentConfig | None = None
        """The options of the deployment that is answered here."""
        self._receiver: Receiver | None = None
        self._back: Sender | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._forwarder = Forwarder(self)
        self._prefix = options.root_path.rstrip("/")
        self._watch = Watch("routes", self._routes_news)

    def _routes_news(self, routes: Any) -> None:
        if routes is not None:
            self._loop.call_soon_threadsafe(self.set_routes, [AppRoute(*route) for route in routes])

    def set_routes(self, routes: Iterable[AppRoute]) -> None:
        """Which applications there are now."""
        self.table = RouteTable(routes)
        self.known.set()

    def host(self, deployment: DeploymentID, ingress: Ingress, gate: Gate, config: DeploymentConfig) -> None:
        """Answer the requests of this application here, as long as there is room."""
        self._local = deployment
        self._router = router_for(deployment)
        self.config = config
        self._ingress = ingress
        self._gate = gate

    @property
    def ingress(self) -> Ingress:
        """What answers this replica's requests."""
        assert self._ingress is not None
        return self._ingress

    def take_over_at(self, name: str) -> str:
        """Take connections over; returns the path to send them to."""
        self._receiver = Receiver(os.path.join(self._folder, name), self.take)
        return self._receiver.path

    def take(self, sock: socket.socket) -> None:
        """Serve a connection."""
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self.server.serve(sock))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def leave(self) -> None:
        """Pass every connection back to the proxy, which finds another replica for it."""
        back = self._back = Sender(os.path.join(self._folder, PROXY_SOCKET))
        self.server.let_go(back.send)

    async def left(self) -> None:
        """Wait until every connection has been passed on, those too that were on their way here; a client may hold one up a while."""
        deadline = self._loop.time() + _LEAVING_S
        await asyncio.sleep(_ON_THE_WAY_S)
        if self._receiver is not None:
            self._receiver.finish()
        while (self.server.protocols or self._serving) and self._loop.time() < deadline:
            if self._back is not None:
                self.server.let_go(self._back.send)
            await asyncio.sleep(0.002)

    async def close(self) -> None:
        """End every connection."""
        self._watch.end()
        if self._receiver is not None:
            self._receiver.close()
        if self._back is not None:
            self._back.close()
        await self.server.close()
        if self._ingress is not None:
            await self._ingress.close()

    # -- requests ----------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or serve a WebSocket."""
        started = time.perf_counter()
        path = scope["path"]
        exchange = Exchange(send, "")
        authorization, length = "", 0
        for name, value in scope["headers"]:
            if name not in _READ:
                continue
            if name == b"x-request-id":
                exchange.request_id = value.decode("latin-1")
            elif name == b"serve_multiplexed_model_id":
                exchange.model_id = value.decode("latin-1")
            elif name == b"x-session-id":
                exchange.session_id = value.decode("latin-1")
            elif name == b"x-request-timeout-seconds":
                exchange.timeout = _seconds(value)
            elif name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"content-length":
                length = int(value)
        if not exchange.request_id:
            exchange.request_id = new_request_id()
            scope["headers"] = [*scope["headers"], (b"x-request-id", exchange.request_id.encode())]
        options = self.options
        if options.bearer_token is not None and path != "/-/healthz":
            if not is_right(authorization, options.bearer_token):
                head = [(b"www-authenticate", b"Bearer")]
                await self._refuse(
                    exchange, scope, 401, "A token is needed: Authorization: Bearer TOKEN", head
                )
                return
        if options.max_body_bytes is not None and scope["type"] == "http":
            if length > options.max_body_bytes:
                await self._refuse(exchange, scope, 413, _too_large(options.max_body_bytes), _CLOSE)
                return
            receive = _Limited(receive, options.max_body_bytes)
        route = None if path.startswith("/-/") else self.table.match(path)
        if route is None:
            await self._special(exchange, scope, path)
            return
        cycle = getattr(receive, "__self__", None)
        if cycle is not None and scope["type"] == "http":
            cycle.skate_task = asyncio.current_task()
        prefix = route.prefix
        root = self._prefix + (prefix if prefix != "/" else "")
        if root:
            scope["root_path"] = root
            if self._prefix and not path.startswith(root):
                scope["path"] = self._prefix + path
        token = _serve_request_context.set(
            RequestContext(
                prefix,
                exchange.request_id,
                exchange.request_id,
                route.app_name,
                exchange.model_id,
                exchange.session_id,
                None,
                True,
            )
        )
        timeout = exchange.timeout or self.options.request_timeout_s
        try:
            if tracing.is_on():
                await self._traced(exchange, route, scope, receive, timeout)
            elif timeout is None:
                await self._answer(exchange, route, scope, receive)
            else:
                async with asyncio.timeout(timeout):
                    await self._answer(exchange, route, scope, receive)
        except TimeoutError:
            await self._refuse(
                exchange, scope, 408, f"Request {exchange.request_id} timed out after {timeout}s."
            )
        except asyncio.CancelledError:
            exchange.status = exchange.status or 499  # its client has gone: nobody is left to answer
        except BodyTooLarge as error:
            await self._refuse(exchange, scope, 413, str(error), _CLOSE)
        except BackPressureError as error:
            after = error.retry_after_s
            headers = [] if after is None else [(b"retry-after", str(int(-(-after // 1))).encode())]
            await self._refuse(exchange, scope, error.status_code, error.message, headers)
        except DeploymentGone:
            await self._refuse(exchange, scope, 404, _not_found(path))
        except DeploymentUnavailableError as error:
            await self._refuse(exchange, scope, 503, error.message)
        except WebSocketDisconnect:
            pass  # how reading a WebSocket ends when its client closes it
        except Exception:  # noqa: BLE001 -- whatever user code raises is logged, and the client gets a 500
            logger.exception("Request %s to %s raised.", exchange.request_id, path)
            await self._refuse(exchange, scope, 500, "Internal Server Error")
        finally:
            _serve_request_context.reset(token)
        count_http(prefix, route.app_name, scope.get("method", "WS"), path, exchange.status, started)

    async def _traced(
        self, exchange: Exchange, route: AppRoute, scope: Scope, receive: Receive, timeout: float | None
    ) -> None:
        """Answer inside a span, which goes on with the client's trace if it sent one."""
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = {key: sent[key] for key in ("traceparent", "tracestate") if key in sent}
        method = scope.get("method", "WS")
        facts = {
            "request_id": exchange.request_id,
            "http.method": method,
            "http.route": route.prefix,
            "app": route.app_name,
        }
        with tracing.span(f"proxy_http_request {method} {route.prefix}", context, facts, server=True) as made:
            async with asyncio.timeout(timeout):
                await self._answer(exchange, route, scope, receive)
            made.set_attribute("http.status_code", exchange.status)

    async def _answer(self, exchange: Exchange, route: AppRoute, scope: Scope, receive: Receive) -> None:
        local = self._local
        gate = self._gate
        if local is None or gate is None or route.app_name != local.app_name or gate.leaving:
            await self._forwarder.forward(exchange, route, scope, receive)
            return
        if not gate.try_enter():
            router, config = self._router, self.config
            assert router is not None
            assert config is not None
            if len(router.slots) > 1 and scope["type"] == "http":
                await self._forwarder.forward(exchange, route, scope, receive)
                return
            most = config.max_queued_requests
            if 0 <= most <= len(gate.waiting):
                refusal = config.backpressure_config
                raise BackPressureError(len(gate.waiting), most, refusal.status_code, refusal.retry_after_s)
            await gate.enter()
        try:
            if tracing.is_on():
                name = f"replica_handle_request {local.name} __call__"
                with tracing.span(name, None, {"request_id": exchange.request_id, "deployment": local.name}):
                    await self._ingress(scope, receive, exchange.reply)  # type: ignore[misc]
            else:
                await self._ingress(scope, receive, exchange.reply)  # type: ignore[misc]
        finally:
            gate.leave()

    def meta(self, exchange: Exchange, route: AppRoute) -> RequestMeta:
        """What travels with a request that another process answers."""
        return RequestMeta(
            "__call__",
            exchange.request_id,
            exchange.model_id,
            route.prefix,
            route.app_name,
            exchange.session_id,
            trace=tracing.carrier(),
        )

    async def _special(self, exchange: Exchange, scope: Scope, path: str) -> None:
        if path == "/-/healthz":
            ready = self.known.is_set()
            await self._refuse(exchange, scope, 200 if ready else 503, "success" if ready else "starting")
        elif path == "/-/routes":
            body = json.dumps(self.table.listing(), separators=(",", ":"))
            await self._refuse(exchange, scope, 200, body, kind=b"application/json")
        else:
            await self._refuse(exchange, scope, 404, _not_found(path))
        count_http("", "", scope.get("method", "WS"), path, exchange.status, time.perf_counter())

    async def _refuse(
        self,
        exchange: Exchange,
        scope: Scope,
        status: int,
        text: str,
        headers: Iterable[tuple[bytes, bytes]] = (),
        kind: bytes = b"text/plain; charset=utf-8",
    ) -> None:
        """Answer with a few words. If an answer has begun already, the connection is cut, unless it is whole: frameworks answer errors."""
        if scope["type"] == "websocket":
            if not exchange.begun:
                await exchange.send({"type": "websocket.close", "code": 1000, "reason": text[:120]})
                exchange.status = 403
            else:
                await exchange.send({"type": "websocket.close", "code": 1011, "reason": text[:120]})
            return
        if exchange.ended:
            return
        if exchange.begun:
            raise ConnectionAbortedError(text)
        body = text.encode()
        head = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
        await exchange.reply({"type": "http.response.start", "status": status, "headers": head})
        await exchange.reply({"type": "http.response.body", "body": body})


class BodyTooLarge(Exception):
    """A request's body is larger than allowed."""


class _Limited:
    """Reads a request's body up to a limit."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.__self__ = getattr(receive, "__self__", None)
        self._receive = receive
        self._most = most
        self._read = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise BodyTooLarge(_too_large(self._most))
        return message


def _too_large(most: int) -> str:
    return f"The body is larger than {most} bytes, which are the most here."


def _not_found(path: str) -> str:
    return f"Path '{path}' not found. Ping http://.../-/routes for available routes."


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if seconds > 0 else None
