"""The user's function, object or ASGI app, as an ASGI app that answers the requests of one replica."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from skate.serve._private.http.convert import to_body, to_chunk
from skate.serve._private.replica.user import Method, UserCode
from skate.serve.exceptions import RayServeException

ASGI_APP = "__serve_asgi_app__"
"""The attribute in which `@serve.ingress` leaves the app, or the function that makes it."""
BUILD_ASGI_APP = "__serve_build_asgi_app__"


class Ingress:
    """An ASGI app, and what the controller wants to know of it."""

    is_asgi = False
    docs_path: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        raise NotImplementedError

    async def close(self) -> None:
        """The replica ends."""


class PlainIngress(Ingress):
    """A function or object that is called with a Starlette request, and may return anything."""

    def __init__(self, user: UserCode) -> None:
        self._user = user
        self._method: Method | None = None
        self._takes_request = self._direct = False
        if not callable(user.instance):
            return  # it is there for handles: an HTTP request to it is an error
        self._method = user.method("__call__")
        self._takes_request = _takes_an_argument(self._method.function)
        self._direct = self._method.is_async and not self._method.is_generator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": "no WebSocket is served here"})
            return
        if self._method is None:
            raise RayServeException(f"{self._user.name} has no method __call__, which answers HTTP requests.")
        args: tuple[Any, ...] = (Request(scope, receive, send),) if self._takes_request else ()
        if self._direct:
            value = await self._method.function(*args)
        elif self._method.is_generator:
            value = self._method.function(*args)
        else:
            value = await self._user.run(self._method, args, {})
        if isinstance(value, Response):
            await value(scope, receive, send)
        elif inspect.isgenerator(value) or inspect.isasyncgen(value):
            await StreamingResponse(self._chunks(value), media_type="text/plain")(scope, receive, send)
        else:
            body, kind = to_body(value)
            headers = [(b"content-length", b"%d" % len(body)), (b"content-type", kind)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _chunks(self, generator: Any) -> AsyncIterator[bytes]:
        async for item in self._user.items("__call__", generator):
            yield to_chunk(item)


class AppIngress(Ingress):
    """The ASGI app of a class decorated with `@serve.ingress`, with its lifespan."""

    is_asgi = True

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._state: dict[str, Any] = {}
        self._lifespan: asyncio.Task[None] | None = None
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        docs = getattr(app, "docs_url", None)
        self.docs_path = docs if isinstance(docs, str) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._state:
            scope["state"] = self._state.copy()
        await self._app(scope, receive, send)

    async def start(self) -> None:
        """Run what the app does at its start.

        Raises:
            RuntimeError: the app says that it failed.
        """
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._lifespan = asyncio.create_task(self._live(scope))
        await self._started

    async def _live(self, scope: Scope) -> None:
        async def send(message: Any) -> None:
            kind = message["type"]
            if kind == "lifespan.startup.complete" and not self._started.done():
                self._started.set_result(None)
            elif kind == "lifespan.startup.failed" and not self._started.done():
                self._started.set_exception(
                    RuntimeError(f"the ASGI app's start-up failed: {message.get('message', '')}")
                )

        try:
            await self._app(scope, self._messages.get, send)
        except Exception:  # noqa: BLE001, S110 -- an app without a lifespan refuses the scope so, as the specification asks
            pass
        finally:
            if not self._started.done():
                self._started.set_result(None)

    async def close(self) -> None:
        """Run what the app does at its end."""
        if self._lifespan is not None and not self._lifespan.done():
            self._messages.put_nowait({"type": "lifespan.shutdown"})
            _done, late = await asyncio.wait([self._lifespan], timeout=5)
            for task in late:
                task.cancel()


async def make_ingress(user: UserCode) -> Ingress:
    """What answers HTTP requests of a replica.

    Raises:
        TypeError: `@serve.ingress` was given something that is neither an ASGI app nor a function that makes one.
    """
    given = getattr(user.definition, ASGI_APP, None)
    if given is None:
        build = getattr(user.instance, BUILD_ASGI_APP, None)
        if build is None:
            return PlainIngress(user)
        given = build()
        if inspect.isawaitable(given):
            given = await given
    elif isinstance(given, bytes):
        given = pickle.loads(given)
    if is_builder(given):
        given = given()
        if inspect.isawaitable(given):
            given = await given
    if not callable(given):
        raise TypeError(
            f"@serve.ingress got a {type(given).__name__}, which is no ASGI app: pass a FastAPI or Starlette app, or a function "
            "that returns one."
        )
    ingress = AppIngress(given)
    await ingress.start()
    return ingress


def is_builder(thing: Any) -> bool:
    """Whether it is a function without arguments, which makes an app."""
    if not inspect.isroutine(thing):
        return False
    return not inspect.signature(thing).parameters


def _takes_an_argument(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
