"""Applications in the process that tests them: no actor and no HTTP, only handles, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from skate.serve._private import client
from skate.serve._private.build import Graph
from skate.serve._private.common import RequestMeta
from skate.serve._private.replica.user import UserCode
from skate.serve._private.utils import DEFAULT, given, in_asyncio_loop
from skate.serve.context import RequestContext, _serve_request_context
from skate.serve.deployment import Application, Deployment
from skate.serve.exceptions import RequestCancelledError
from skate.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

_END = object()


class _Loop:
    """The loop that all local deployments of a process share, in a thread that `serve.shutdown()` ends, or the process's end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.deployments: list[LocalDeployment] = []

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="serve-local", daemon=True
                )
                self._thread.start()
            return self._loop

    def end(self) -> None:
        """Destroy the deployments, and end the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        deployments, self.deployments = self.deployments, []
        if loop is None or thread is None:
            return
        for deployment in deployments:
            asyncio.run_coroutine_threadsafe(deployment.user.destroy(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


_NO_REFS = "Converting DeploymentResponses to ObjectRefs is not supported in local testing mode."
_loop = _Loop()
client.when_forgotten(_loop.end)


class LocalDeployment:
    """A deployment whose one replica is an object of this process."""

    def __init__(self, deployment: Deployment) -> None:
        config = deployment._deployment_config
        self.user = UserCode(deployment.func_or_class, config.max_ongoing_requests)
        made = self.user.construct(deployment.init_args, deployment.init_kwargs)
        asyncio.run_coroutine_threadsafe(made, _loop.get()).result()
        asyncio.run_coroutine_threadsafe(self.user.reconfigure(config.user_config), _loop.get()).result()
        _loop.deployments.append(self)


class LocalHandle(DeploymentHandle[Any]):
    """A handle to a deployment of this process."""

    def __init__(
        self, name: str, app: str, holder: dict[str, LocalDeployment], meta: RequestMeta, stream: bool
    ) -> None:
        super().__init__(name, app, _meta=meta, _stream=stream)
        self._holder = holder

    @property
    def is_initialized(self) -> bool:
        """Always: there is nothing to follow."""
        return True

    def options(self, **options: Any) -> LocalHandle:
        """As `DeploymentHandle.options`."""
        stream = options.pop("stream", DEFAULT.VALUE)
        changes = given(
            method=options.pop("method_name", DEFAULT.VALUE),
            multiplexed_model_id=options.pop("multiplexed_model_id", DEFAULT.VALUE),
            session_id=options.pop("session_id", DEFAULT.VALUE),
        )
        for name in options:
            if name not in (
                "_prefer_local_routing",
                "_by_reference",
                "request_serialization",
                "response_serialization",
            ):
                raise TypeError(f"DeploymentHandle.options() got an unexpected keyword argument {name!r}")
        return LocalHandle(
            self._id.name,
            self._id.app_name,
            self._holder,
            self._meta._replace(**changes),
            self._stream if stream is DEFAULT.VALUE else bool(stream),
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the deployment."""
        user = self._holder[self._id.name].user
        meta = self._meta
        context = RequestContext(
            app_name=self._id.app_name,
            multiplexed_model_id=meta.multiplexed_model_id,
            session_id=meta.session_id,
        )

        async def resolved() -> tuple[tuple[Any, ...], dict[str, Any]]:
            _serve_request_context.set(context)
            found = [await v if isinstance(v, LocalResponse) else v for v in args]
            return tuple(found), {
                k: await v if isinstance(v, LocalResponse) else v for k, v in kwargs.items()
            }

        if self._stream:
            return LocalGenerator(user, meta.method, resolved)

        async def call() -> Any:
            found, named = await resolved()
            return await user.call(meta.method, found, named)

        return LocalResponse(asyncio.run_coroutine_threadsafe(call(), _loop.get()))


class LocalResponse(DeploymentResponse[Any]):
    """The answer of a call to a deployment of this process."""

    def __init__(self, future: concurrent.futures.Future[Any]) -> None:
        self._future = future

    @property
    def request_id(self) -> str:
        """Empty: local requests have no id."""
        return ""

    def __await__(self) -> Any:
        return asyncio.wrap_future(self._future).__await__()

    def result(self, *, timeout_s: float | None = None, _skip_asyncio_check: bool = False) -> Any:
        """As `DeploymentResponse.result`."""
        if not _skip_asyncio_check and in_asyncio_loop():
            raise RuntimeError(
                "Sync methods should not be called from within an `asyncio` event loop: await it."
            )
        try:
            return self._future.result(timeout_s)
        except concurrent.futures.CancelledError:
            raise RequestCancelledError from None

    async def _to_object_ref(self) -> Any:
        raise RuntimeError(_NO_REFS)

    def _to_object_ref_sync(self, *_args: Any, **_options: Any) -> Any:
        raise RuntimeError(_NO_REFS)

    def cancel(self) -> None:
        """Cancel the call."""
        self._future.cancel()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._future.cancelled()


class LocalGenerator(DeploymentResponseGenerator[Any]):
    """The items of a streaming call to a deployment of this process."""

    def __init__(self, user: UserCode, method: str, resolved: Any) -> None:
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def run() -> None:
            try:
                args, kwargs = await resolved()
                async for item in user.stream(method, args, kwargs):
                    self._items.put((item, None))
                self._items.put((_END, None))
            except BaseException as error:  # noqa: BLE001 -- handed to whoever iterates
                self._items.put((_END, error))

        self._task = asyncio.run_coroutine_threadsafe(run(), _loop.get())

    def __next__(self) -> Any:
        item, error = self._items.get()
        if error is not None:
            raise error
        if item is _END:
            raise StopIteration
        return item

    def __iter__(self) -> Iterator[Any]:
        return self

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        found = await asyncio.to_thread(self._next_or_end)
        if found is _END:
            raise StopAsyncIteration
        return found

    def _next_or_end(self) -> Any:
        with contextlib.suppress(StopIteration):
            return next(self)
        return _END

    async def _to_object_ref_gen(self) -> Any:
        raise RuntimeError(_NO_REFS)

    def _to_object_ref_gen_sync(self, *_args: Any, **_options: Any) -> Any:
        raise RuntimeError(_NO_REFS)

    def cancel(self) -> None:
        """End the generator."""
        self._task.cancel()


def run_locally(app: Application, name: str) -> LocalHandle:
    """Make an application's deployments in this process; returns a handle to its ingress."""
    holder: dict[str, LocalDeployment] = {}
    graph = Graph(
        app, name, lambda deployment, owner: LocalHandle(deployment, owner, holder, RequestMeta(), False)
    )
    # Those that others call are made first: each is added before the one that it is bound into.
    for deployment_name, deployment in graph.deployments.items():
        holder[deployment_name] = LocalDeployment(deployment)
    return LocalHandle(graph.ingress, name, holder, RequestMeta(), False)
