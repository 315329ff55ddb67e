"""The gRPC side of the proxy: users' services, whose methods are requests to replicas, and Serve's own service."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from skate import exceptions
from skate.serve._private import tracing
from skate.serve._private.common import AppRoute, DeploymentID, RequestMeta
from skate.serve._private.errors import DeploymentGone
from skate.serve._private.figures import count_grpc
from skate.serve._private.grpc.answer import Answer
from skate.serve._private.http.routes import RouteTable
from skate.serve._private.logs import logger
from skate.serve._private.request_ids import new_request_id
from skate.serve._private.rest.token import is_right
from skate.serve._private.routing.request import Request
from skate.serve._private.routing.router import router_for
from skate.serve.config import gRPCOptions
from skate.serve.context import RequestContext, _serve_request_context
from skate.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError
from skate.serve.generated import serve_pb2, serve_pb2_grpc
from skate.serve.grpc_util import RayServegRPCContext
from skate.serve.handle import DeploymentResponse, DeploymentResponseGenerator

_LIST = "/ray.serve.RayServeAPIService/ListApplications"
_HEALTH = "/ray.serve.RayServeAPIService/Healthz"
_NO_ROUTES = "Route table is not populated yet."
_GRACE_S = 1.0


class _Servicer:
    """Stands for a user's servicer while a service is described: what its methods do is never asked."""

    def __getattr__(self, name: str) -> Any:
        return _never

    def __call__(self, *_args: Any) -> None:
        raise AssertionError("unreachable")


def _never(*_args: Any) -> None:
    raise AssertionError("unreachable")


class _Collector:
    """Stands for a server while services are added to it."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self.handlers += handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """The same methods again, for servers that look them up by name."""


class GrpcServer:
    """Serves gRPC as the options say.

    Args:
        options: Port, services, time-out.
        host: The address to listen on.
        routes: The applications there are now.
        known: Set once that is known.
    """

    def __init__(
        self, options: gRPCOptions, host: str, routes: Callable[[], RouteTable], known: asyncio.Event
    ) -> None:
        self._options = options
        self._host = host
        self._routes = routes
        self._known = known
        self._ever = False
        self._server: grpc.aio.Server | None = None
        self._streams: dict[str, AsyncIterator[Any]] = {}
        self._made: dict[str, grpc.RpcMethodHandler] = {}
        self._theirs: list[grpc.GenericRpcHandler] = []

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the port is in use.
            ImportError, AttributeError: a servicer function can't be imported.
        """
        collector = _Collector()
        for add in self._options.grpc_servicer_func_callable:
            add(_Servicer(), collector)
        self._theirs = collector.handlers
        token = self._options.bearer_token
        guards = [] if token is None else [_Guard(token)]
        server = self._server = grpc.aio.server(interceptors=guards, options=[("grpc.so_reuseport", 0)])
        serve_pb2_grpc.add_RayServeAPIServiceServicer_to_server(_OwnService(self), server)
        server.add_generic_rpc_handlers((_Services(self),))
        if self._options.enable_reflection:
            self._reflect(server)
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            port: int = self._add_port(server, f"{host}:{self._options.port}")
        except RuntimeError as error:
            raise OSError(
                f"Can't listen for gRPC on {host}:{self._options.port}: {error}. End the program that has the port, or choose "
                'another with serve.start(grpc_options={"port": …}).'
            ) from error
        await server.start()
        return port

    def _add_port(self, server: grpc.aio.Server, address: str) -> int:
        options = self._options
        if options.ssl_certfile is None or options.ssl_keyfile is None:
            return int(server.add_insecure_port(address))
        pair = (Path(options.ssl_keyfile).read_bytes(), Path(options.ssl_certfile).read_bytes())
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))

    def _reflect(self, server: grpc.aio.Server) -> None:
        try:
            from grpc_reflection.v1alpha import reflection
        except ImportError:
            return  # clients can't ask which services there are; all else works
        names = {"ray.serve.RayServeAPIService"}
        names.update(
            name for handler in self._theirs if (name := getattr(handler, "service_name", lambda: "")())
        )
        reflection.enable_server_reflection([*sorted(names), reflection.SERVICE_NAME], server)

    async def close(self) -> None:
        """Listen no more; calls under way may end."""
        if self._server is not None:
            await self._server.stop(_GRACE_S)

    async def next_message(self, stream: str) -> tuple[Any] | None:
        """The next message of a client that streams; None after the last."""
        messages = self._streams.get(stream)
        if messages is None:
            return None
        try:
            return (await messages.__anext__(),)
        except StopAsyncIteration:
            return None

    # -- a method of a user's service ----------------------------------------

    def handler(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """What answers a method; None if no service has it."""
        found = self._made.get(details.method)
        if found is None:
            theirs = next((h for each in self._theirs if (h := each.service(details)) is not None), None)
            if theirs is None:
                return None
            found = self._made[details.method] = self._make(details.method, theirs)
        return found

    def _make(self, path: str, theirs: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        kind = (
            f"{'stream' if theirs.request_streaming else 'unary'}_"
            f"{'stream' if theirs.response_streaming else 'unary'}_rpc_method_handler"
        )
        behavior = self._streaming if theirs.response_streaming else self._unary
        bound = functools.partial(behavior, path, theirs.request_streaming)
        # What comes back from a replica is bytes already, so there is no serializer.
        made: grpc.RpcMethodHandler = getattr(grpc, kind)(
            bound, request_deserializer=theirs.request_deserializer
        )
        return made

    async def _unary(self, path: str, reads: bool, message: Any, context: grpc.aio.ServicerContext) -> bytes:
        call = _Call(path, context)
        try:
            async with asyncio.timeout(self._timeout(context)):
                request = await self._submit(call, reads, message, "handle_grpc", stream=False)
                answer: Answer = await DeploymentResponse(request)
        except BaseException as error:
            await call.fail(error)
            raise AssertionError("unreachable") from error
        finally:
            self._streams.pop(call.stream, None)
        await call.end(answer)
        return answer.body or b""

    async def _streaming(
        self, path: str, reads: bool, message: Any, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        call = _Call(path, context)
        last: Answer | None = None
        try:
            async with asyncio.timeout(self._timeout(context)):
                request = await self._submit(call, reads, message, "handle_grpc_streaming", stream=True)
                async for item in DeploymentResponseGenerator[Any](request):
                    if isinstance(item, bytes):
                        yield item
                    else:
                        last = item
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever user code raises becomes a status
            await call.fail(error)
        finally:
            self._streams.pop(call.stream, None)
        assert last is not None
        await call.end(last)

    def _timeout(self, context: grpc.aio.ServicerContext) -> float | None:
        limit = self._options.request_timeout_s
        left = context.time_remaining()
        return min((value for value in (limit, left) if value is not None), default=None)

    async def _submit(self, call: _Call, reads: bool, message: Any, kind: str, stream: bool) -> Request:
        route = self._route(call)
        call.app = route.app_name
        number = ""
        if reads:
            number = call.stream
            self._streams[number] = message.__aiter__()
            message = None
        router = router_for(DeploymentID(route.ingress, route.app_name))
        meta = RequestMeta(call.method, call.request_id, call.model_id, call.path, route.app_name)
        if tracing.is_on():
            sent = {"traceparent": call.shown.traceparent(), "tracestate": call.shown.tracestate()}
            context = {key: value for key, value in sent.items() if value}
            with tracing.span(
                f"proxy_grpc_request {call.path}", context, {"app": route.app_name}, server=True
            ):
                meta = meta._replace(trace=tracing.carrier())
        _serve_request_context.set(
            RequestContext(call.path, call.request_id, call.request_id, route.app_name, call.model_id)
        )
        request = Request(router, meta, (message, call.shown, number), {}, stream, kind)
        router.submit(request)
        return request

    def _route(self, call: _Call) -> AppRoute:
        table = self._routes()
        wanted = call.shown.application()
        if not wanted and len(table) == 1:
            return next(iter(table))
        route = table.app(wanted) if wanted else None
        if route is None:
            words = f"Application '{wanted}' not found." if wanted else "Application metadata not set."
            raise _NotFound(f"{words} Ping {_LIST} for available applications.")
        return route

    # -- Serve's own service ----------------------------------------

    def apps(self) -> list[str]:
        """The names of the applications that can be reached."""
        return [route.app_name for route in self._routes()]

    def ready(self) -> bool:
        """Whether there is, or was, an application to reach."""
        self._ever = self._ever or (self._known.is_set() and bool(len(self._routes())))
        return self._ever


class _NotFound(Exception):
    """There is no such application."""


class _Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets nobody in who has not the token, except to ask whether there is health: neither users' services nor what they are."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._refusal = grpc.stream_stream_rpc_method_handler(self._refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        if handler_call_details.method != _HEALTH:
            sent = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
            if not is_right(str(sent), self._token):
                return self._refusal
        return await continuation(handler_call_details)

    async def _refuse(self, _messages: Any, context: grpc.aio.ServicerContext) -> None:
        words = "A token is needed: send the metadata `authorization: Bearer TOKEN`."
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, words)


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Looks methods of users' services up."""

    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._server.handler(handler_call_details)


class _OwnService:
    """`RayServeAPIService`."""

    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    async def ListApplications(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self._server.ready():
            await context.abort(grpc.StatusCode.UNAVAILABLE, _NO_ROUTES)
        return serve_pb2.ListApplicationsResponse(application_names=self._server.apps())

    async def Healthz(self, request: Any, context: Any) -> Any:  # noqa: N802
        if not self._server.ready():
            await context.abort(grpc.StatusCode.UNAVAILABLE, _NO_ROUTES)
        return serve_pb2.HealthzResponse(message="success")


class _Call:
    """One call of a client."""

    def __init__(self, path: str, context: grpc.aio.ServicerContext) -> None:
        self.path = path
        self.method = path.rpartition("/")[2]
        self.app = ""
        self._context = context
        self._started = time.perf_counter()
        self.shown = RayServegRPCContext(context)
        self.request_id = self.shown.request_id() or new_request_id()
        self.stream = uuid.uuid4().hex
        """The number of its client's messages, if it streams: not the request's id, which clients choose."""
        self.model_id = self.shown.multiplexed_model_id() or ""
        self.shown._trailing_metadata = [("request_id", self.request_id)]

    async def end(self, answer: Answer) -> None:
        """Tell the client what the method has set."""
        self._context.set_trailing_metadata(tuple(answer.trailing_metadata))
        if answer.compression is not None:
            self._context.set_compression(answer.compression)
        code = grpc.StatusCode.OK if answer.code is None else answer.code
        self._count(code)
        if answer.error:
            await self._context.abort(code, answer.details or answer.error)
        if answer.code is not None:
            self._context.set_code(code)
        if answer.details:
            self._context.set_details(answer.details)

    async def fail(self, error: BaseException) -> None:
        """Tell the client that there is no answer; raises what ends the call."""
        code, details = _status(error, self.request_id)
        self._count(code)
        if code == grpc.StatusCode.INTERNAL:
            logger.error("Request %s to %s raised.", self.request_id, self.path, exc_info=error)
        if isinstance(error, asyncio.CancelledError):
            raise error
        self._context.set_trailing_metadata((("request_id", self.request_id),))
        await self._context.abort(code, details)

    def _count(self, code: grpc.StatusCode) -> None:
        count_grpc(self.app, self.path, code.name, self._started)


def _status(error: BaseException, request_id: str) -> tuple[grpc.StatusCode, str]:
    """What a client is told of an error."""
    code = grpc.StatusCode
    if isinstance(error, _NotFound | DeploymentGone):
        return code.NOT_FOUND, str(error)
    if isinstance(error, BackPressureError):
        return code.RESOURCE_EXHAUSTED, error.message
    if isinstance(error, DeploymentUnavailableError):
        return code.UNAVAILABLE, error.message
    if isinstance(error, TimeoutError) and not isinstance(error, exceptions.RayTaskError):
        return code.DEADLINE_EXCEEDED, f"Request {request_id} timed out."
    if isinstance(error, RequestCancelledError | asyncio.CancelledError):
        return code.CANCELLED, f"Request {request_id} was cancelled."
    if isinstance(error, exceptions.ActorDiedError | exceptions.ActorUnavailableError):
        return code.UNAVAILABLE, "the replica died while it answered."
    return code.INTERNAL, str(getattr(error, "cause", None) or error)
