"""A request that another process must answer: read here, sent through the router, and answered as if it had been answered here.

The answer is one message if the response is complete when user code returns: `(0, status, headers, body)`. Otherwise it is
`(number, status, headers, first chunk)`, and the rest of the body is asked for by its number.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.serve._private.common import AppRoute, DeploymentID, RequestMeta
from skate.serve._private.replica.gate import Gate
from skate.serve._private.routing.request import Request
from skate.serve._private.routing.router import router_for
from skate.serve.context import RequestContext, _serve_request_context
from skate.serve.handle import DeploymentResponse

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

    from skate.serve._private.http.front import Exchange, Front

_SAFE = ("GET", "HEAD", "OPTIONS")
_ATTEMPTS = 3
_MOST_QUEUED = 1 << 20
_numbers = itertools.count(1)


class Forwarder:
    """Sends requests to other processes."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def forward(self, exchange: Exchange, route: AppRoute, scope: Scope, receive: Receive) -> None:
        """Have a replica answer a request.

        Raises:
            what the router raises: BackPressureError, DeploymentUnavailableError; and what the replica did.
        """
        if scope["type"] == "websocket":
            await _refuse_websocket(exchange)
            return
        body = await _whole_body(receive)
        told = (
            scope["method"],
            scope["path"],
            scope.get("raw_path") or scope["path"].encode(),
            scope["query_string"],
            scope.get("root_path", ""),
            scope["headers"],
            scope["scheme"],
            scope.get("client"),
            scope.get("server"),
            scope.get("http_version", "1.1"),
        )
        router = router_for(DeploymentID(route.ingress, route.app_name))
        for attempt in range(_ATTEMPTS):
            request = Request(
                router, self._front.meta(exchange, route), (told, body), {}, False, "handle_http"
            )
            router.submit(request)
            try:
                answered: tuple[int, int, list[Any], bytes] = await DeploymentResponse(request)
                break
            except (exceptions.ActorDiedError, exceptions.ActorUnavailableError):
                # The replica died. A request that changes nothing is made again.
                if scope["method"] not in _SAFE or attempt == _ATTEMPTS - 1:
                    raise
        else:
            raise AssertionError("unreachable")
        number, status, headers, chunk = answered
        await exchange.reply({"type": "http.response.start", "status": status, "headers": headers})
        if not number:
            await exchange.reply({"type": "http.response.body", "body": chunk})
            return
        slot = request.slot
        assert slot is not None
        await exchange.reply({"type": "http.response.body", "body": chunk, "more_body": True})
        complete = False
        try:
            async for ref in slot.handle.handle_http_rest.remote(number):
                await exchange.reply({"type": "http.response.body", "body": await ref, "more_body": True})
            complete = True
        finally:
            if not complete:
                slot.handle.drop_http_rest.remote(number)
        await exchange.reply({"type": "http.response.body", "body": b""})


async def _refuse_websocket(exchange: Exchange) -> None:
    """A WebSocket can't be forwarded: its connection is passed on before it is opened, unless the connection was used before."""
    await exchange.send(
        {
            "type": "websocket.close",
            "code": 1013,
            "reason": "no replica has room for this WebSocket: try again",
        }
    )
    exchange.status = 403


async def _whole_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        return body
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        parts.append(message.get("body", b""))
    return b"".join(parts)


# -- in the replica ----------------------------------------


class Rest:
    """A response under way in a replica, for another process."""

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.status = 0
        self.headers: list[Any] = []
        self.whole = False
        self.task: asyncio.Task[None] | None = None
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting = 0
        self._room = asyncio.Event()
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()

    async def receive(self) -> Message:
        """What the app asks of the request."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """What the app answers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in message.get("headers") or []]
            return
        if message["type"] != "http.response.body":
            return
        body = bytes(message.get("body", b""))
        more = message.get("more_body", False)
        if not self.first.done():
            self.whole = not more
            self.first.set_result(body)
            return
        if body:
            self._waiting += len(body)
            self._chunks.put_nowait(body)
        if not more:
            self._chunks.put_nowait(None)
        while self._waiting > _MOST_QUEUED and not self._gone.is_set():
            self._room.clear()
            await self._room.wait()

    def ended(self) -> None:
        """User code has returned or raised."""
        self._chunks.put_nowait(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body after its first chunk."""
        try:
            while (chunk := await self._chunks.get()) is not None:
                self._waiting -= len(chunk)
                self._room.set()
                yield chunk
        finally:
            self.cancel()
        if self.task is not None and self.task.done() and not self.task.cancelled():
            error = self.task.exception()
            if error is not None:
                raise error

    def cancel(self) -> None:
        """Nobody wants the rest."""
        self._gone.set()
        self._room.set()
        if self.task is not None and not self.task.done():
            self.task.cancel()


async def answer(
    front: Any, gate: Gate, rests: dict[int, Rest], request: RequestMeta, told: tuple[Any, ...], body: bytes
) -> tuple[int, int, list[Any], bytes]:
    """Answer a request that another process has read; its place in `gate` has been taken, and is given back here."""
    method, path, raw, query, root, headers, scheme, client, server, version = told
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": version,
        "method": method,
        "path": path,
        "raw_path": raw,
        "query_string": query,
        "root_path": root,
        "headers": headers,
        "scheme": scheme,
        "client": client,
        "server": server,
        "state": {},
    }
    rest = Rest(body)

    async def run() -> None:
        _serve_request_context.set(
            RequestContext(
                request.route,
                request.request_id,
                request.request_id,
                request.app_name,
                request.multiplexed_model_id,
                request.session_id,
                None,
                True,
            )
        )
        try:
            await front.ingress(scope, rest.receive, rest.send)
        finally:
            gate.leave()
            rest.ended()

    task = rest.task = asyncio.get_running_loop().create_task(run())
    try:
        waits: list[asyncio.Future[Any]] = [task, rest.first]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        rest.cancel()
        raise
    if not rest.first.done():
        task.result()  # raises what user code raised
        raise RuntimeError("the ASGI app returned without an answer.")
    if rest.whole:
        await asyncio.wait([task])
        return 0, rest.status, rest.headers, rest.first.result()
    number = next(_numbers)
    rests[number] = rest
    return number, rest.status, rest.headers, rest.first.result()


__all__ = ["Forwarder", "Rest", "answer"]
