"""The actor of a replica: requests from handles and HTTP connections come in, the controller asks how it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import cloudpickle

import skate
from skate.serve import context as serve_context
from skate.serve._private import figures, logs, tracing
from skate.serve._private.common import AppRoute, RequestMeta
from skate.serve._private.config import DeploymentConfig
from skate.serve._private.errors import RequestRejected
from skate.serve._private.loops import loop_factory
from skate.serve._private.replica.gate import Gate
from skate.serve._private.replica.journal import Journal
from skate.serve._private.replica.spec import ReplicaFacts, ReplicaSpec
from skate.serve._private.replica.user import UserCode
from skate.serve._private.utils import look_in
from skate.serve.context import ReplicaContext, RequestContext
from skate.serve.schema import ReplicaRank


class Replica:
    """One instance of a deployment's class, or its function, and the requests that it answers."""

    __skate_loop_factory__ = staticmethod(loop_factory)

    def __init__(self, spec: ReplicaSpec) -> None:
        self._spec = spec
        self._config = spec.config
        self._gate = Gate(spec.config.max_ongoing_requests)
        self._journal = Journal(spec.journal)
        self._user: UserCode | None = None
        self._front: Any = None
        self._rests: dict[int, Any] = {}
        self._facts: ReplicaFacts | None = None
        self._app = spec.id.deployment_id.app_name

    # -- the controller's side ----------------------------------------

    async def initialize(self) -> ReplicaFacts:
        """Make the user's object, and begin to take HTTP connections over if it is an ingress.

        Whatever the user's constructor, `reconfigure` or first health check raises is raised.
        """
        spec = self._spec
        logs.configure(
            self._config.logging_config, f"{self._app}_{spec.id.deployment_id.name}", spec.id.unique_id
        )
        look_in(spec.path)
        tracing.set_up(
            spec.tracing, "replica", f"{self._app}_{spec.id.deployment_id.name}_{spec.id.unique_id}"
        )
        definition = cloudpickle.loads(spec.definition)
        args, kwargs = cloudpickle.loads(spec.arguments)
        user = self._user = UserCode(definition, self._config.max_ongoing_requests)
        replica_context = ReplicaContext(
            spec.id,
            None,
            self._config,
            ReplicaRank(rank=spec.rank, node_rank=0, local_rank=spec.rank),
            spec.world_size,
            code_version=spec.version,
            gang_context=spec.gang,
        )
        serve_context._set_internal_replica_context(replica_context)
        await user.construct(args, kwargs)
        replica_context.servable_object = user.instance
        runtime = skate.get_runtime_context()
        facts = ReplicaFacts(os.getpid(), runtime.get_node_id(), runtime.get_actor_id() or "")
        if spec.is_ingress and spec.http is not None:
            await self._serve_http(user, facts)
        facts.records_stats = user.records_stats
        facts.records_scaling = user.records_scaling
        await user.reconfigure(self._config.user_config)
        await user.check_health()
        self._facts = facts
        return facts

    async def _serve_http(self, user: UserCode, facts: ReplicaFacts) -> None:
        # Imported here: replicas that no HTTP request reaches need no web framework.
        from skate.serve._private.http.front import Front
        from skate.serve._private.http.ingress import make_ingress

        spec = self._spec
        assert spec.http is not None
        ingress = await make_ingress(user)
        facts.is_asgi = ingress.is_asgi
        facts.docs_path = ingress.docs_path
        front = self._front = Front(spec.http, spec.folder)
        front.host(spec.id.deployment_id, ingress, self._gate, self._config)
        facts.socket = front.take_over_at(spec.id.unique_id)

    async def facts(self) -> ReplicaFacts | None:
        """What it said when it was ready; None if it is not yet."""
        return self._facts

    async def check_health(self) -> tuple[int, tuple[str, ...]]:
        """Raise if the user's check says so. Returns how many requests run or wait, and the models that are loaded."""
        assert self._user is not None
        await self._user.check_health()
        return await self.load()

    async def load(self) -> tuple[int, tuple[str, ...]]:
        """How many requests run or wait in line, and the models that are loaded."""
        from skate.serve.multiplex import loaded_models

        return self._gate.ongoing + len(self._gate.waiting), loaded_models()

    async def routing_stats(self) -> dict[str, Any]:
        """What the user's `record_routing_stats` returns, for the routers of handles."""
        assert self._user is not None
        return await self._user.routing_stats()

    async def autoscaling_stats(self) -> dict[str, float]:
        """What the user's `record_autoscaling_stats` returns, for autoscaling policies."""
        assert self._user is not None
        return await self._user.autoscaling_stats()

    async def reconfigure(self, config: DeploymentConfig, rank: int, world_size: int) -> None:
        """Take new options over while requests run."""
        assert self._user is not None
        changed = config.user_config != self._config.user_config
        self._config = config
        self._gate.set_limit(config.max_ongoing_requests)
        self._user.set_threads(config.max_ongoing_requests)
        if self._front is not None:
            self._front.config = config
        replica_context = serve_context._get_internal_replica_context()
        if replica_context is not None:
            replica_context._deployment_config = config
            replica_context.rank = ReplicaRank(rank=rank, node_rank=0, local_rank=rank)
            replica_context.world_size = world_size
        if changed:
            await self._user.reconfigure(config.user_config)

    async def drain(self) -> None:
        """Take no more requests, and return once those that run have ended. Connections go to other replicas."""
        self._gate.leaving = True
        if self._front is not None:
            self._front.leave()
        least = time.monotonic() + min(0.05, self._config.graceful_shutdown_wait_loop_s)
        await self._gate.idle()
        if self._front is not None:
            await self._front.left()
        pause = least - time.monotonic()
        if pause > 0:
            await asyncio.sleep(
                pause
            )  # a handle that has not heard the news yet is told so, not left without an answer

    async def wait_for_end(self) -> None:
        """Never return: whoever awaits this learns at once when the process dies."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Run the user's destructor and end everything that was started here."""
        from skate.serve.multiplex import unload_all

        if self._front is not None:
            await self._front.close()
        if self._user is not None:
            await unload_all()
            await self._user.destroy()

    # -- requests ----------------------------------------

    async def handle_request(self, meta: bytes, *args: Any, **kwargs: Any) -> Any:
        """Answer a request of a handle."""
        request = RequestMeta.unpacked(meta)
        await self._enter(request)
        token = serve_context._serve_request_context.set(_context(request))
        started = time.perf_counter()
        failed = True
        try:
            if tracing.is_on():
                with self._span(request):
                    value = await self._user.call(request.method, args, kwargs)  # type: ignore[union-attr]
            else:
                value = await self._user.call(request.method, args, kwargs)  # type: ignore[union-attr]
            failed = False
            return value
        finally:
            self._gate.leave()
            serve_context._serve_request_context.reset(token)
            figures.count(self._spec.id, request.route, request.method, time.perf_counter() - started, failed)

    async def handle_request_streaming(self, meta: bytes, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """Answer a request of a handle with many items."""
        request = RequestMeta.unpacked(meta)
        await self._enter(request)
        serve_context._serve_request_context.set(_context(request))
        started = time.perf_counter()
        failed = True
        try:
            with self._span(request):
                async for item in self._user.stream(request.method, args, kwargs):  # type: ignore[union-attr]
                    yield item
            failed = False
        finally:
            self._gate.leave()
            figures.count(self._spec.id, request.route, request.method, time.perf_counter() - started, failed)

    def _span(self, request: RequestMeta) -> contextlib.AbstractContextManager[Any]:
        deployment = self._spec.id.deployment_id
        facts = {
            "request_id": request.request_id,
            "replica_id": self._spec.id.unique_id,
            "deployment": deployment.name,
            "app": deployment.app_name,
            "call_method": request.method,
            "route": request.route,
            "multiplexed_model_id": request.multiplexed_model_id,
        }
        name = f"replica_handle_request {deployment.name} {request.method}"
        return tracing.span(name, request.trace, facts)

    async def _enter(self, request: RequestMeta) -> None:
        gate = self._gate
        if not gate.try_enter():
            if not request.must_accept or gate.leaving:
                raise RequestRejected(gate.ongoing, gate.leaving)
            await gate.enter()
        if request.router:
            self._journal.begin(request.router, request.number)

    async def handle_http(self, meta: bytes, scope: tuple[Any, ...], body: bytes) -> Any:
        """Answer an HTTP request that another process has read. See `http/forward.py` for what is returned."""
        from skate.serve._private.http.forward import answer

        request = RequestMeta.unpacked(meta)
        await self._enter(request)
        return await answer(self._front, self._gate, self._rests, request, scope, body)

    async def handle_http_rest(self, number: int) -> AsyncIterator[bytes]:
        """The rest of the body of a response that `handle_http` began."""
        rest = self._rests.pop(number, None)
        if rest is None:
            raise KeyError(f"there is no response {number} under way here.")
        async for chunk in rest.chunks():
            yield chunk

    async def drop_http_rest(self, number: int) -> None:
        """Nobody wants the rest of a response."""
        rest = self._rests.pop(number, None)
        if rest is not None:
            rest.cancel()

    async def handle_grpc(self, meta: bytes, message: Any, context: Any, stream: str) -> Any:
        """Answer a gRPC call that gives one message. See `grpc/answer.py`."""
        from skate.serve._private.grpc.answer import unary

        request = RequestMeta.unpacked(meta)
        async with self._counted(request):
            assert self._user is not None
            return await unary(self._user, request.method, message, context, stream)

    async def handle_grpc_streaming(
        self, meta: bytes, message: Any, context: Any, stream: str
    ) -> AsyncIterator[Any]:
        """Answer a gRPC call that gives many messages."""
        from skate.serve._private.grpc.answer import streaming

        request = RequestMeta.unpacked(meta)
        async with self._counted(request):
            assert self._user is not None
            async for item in streaming(self._user, request.method, message, context, stream):
                yield item

    @contextlib.asynccontextmanager
    async def _counted(self, request: RequestMeta) -> AsyncIterator[None]:
        """A request's place among those that run, its context, and its figures."""
        await self._enter(request)
        serve_context._serve_request_context.set(_context(request))
        started = time.perf_counter()
        failed = True
        try:
            with self._span(request):
                yield
            failed = False
        finally:
            self._gate.leave()
            figures.count(self._spec.id, request.route, request.method, time.perf_counter() - started, failed)

    async def serve_routes(self, routes: list[AppRoute]) -> None:
        """Know these routes, until the controller says otherwise."""
        if self._front is not None:
            self._front.set_routes(routes)


def _context(request: RequestMeta) -> RequestContext:
    return RequestContext(
        route=request.route,
        request_id=request.request_id,
        app_name=request.app_name,
        multiplexed_model_id=request.multiplexed_model_id,
        session_id=request.session_id,
    )
