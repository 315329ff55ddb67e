"""Handles to deployments, and the answers that calls through them give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar, cast

import skate
from skate import exceptions
from skate.serve._private import tracing
from skate.serve._private.common import DeploymentID, RequestMeta
from skate.serve._private.constants import SERVE_DEFAULT_APP_NAME
from skate.serve._private.errors import RequestRejected
from skate.serve._private.request_ids import new_request_id
from skate.serve._private.routing.request import Request
from skate.serve._private.routing.router import Router, router_for
from skate.serve._private.routing.selection import ReplicaSelection
from skate.serve._private.utils import DEFAULT, given, in_asyncio_loop
from skate.serve.context import _serve_request_context
from skate.serve.exceptions import RayServeException, RequestCancelledError

__all__ = [
    "DeploymentBroadcastResponse",
    "DeploymentHandle",
    "DeploymentResponse",
    "DeploymentResponseGenerator",
    "R",
    "SERVE_DEFAULT_APP_NAME",
    "T",
]

T = TypeVar("T")
R = TypeVar("R")

_PERHAPS_NOT_BEGUN = (RequestRejected, exceptions.ActorDiedError, exceptions.ActorUnavailableError)
_LATE = "Get timed out: there was no answer in time. The request goes on; wait again, or cancel() it."


class _Response:
    """What the answers of unary and streaming calls share."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def request_id(self) -> str:
        """The id of the request."""
        return self._request.meta.request_id

    @property
    def by_reference(self) -> bool:
        """True: answers can be had as refs."""
        return True

    def cancel(self) -> None:
        """Cancel the request: it is not made if it waits, and its coroutine is cancelled if it runs. Later, nothing happens."""
        self._request.router.cancel(self._request, RequestCancelledError(self.request_id))

    def cancelled(self) -> bool:
        """Whether `cancel` has been called."""
        return self._request.cancelled

    def _sent_by(self, deadline: float | None) -> Any:
        """The ref or generator of the answer, once a replica has the request."""
        request = self._request
        while request.sent is None:
            if request.error is not None:
                raise request.error
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise exceptions.GetTimeoutError(_LATE)
            request.wait_sent(left)
        return request.sent

    async def _sent(self) -> Any:
        request = self._request
        while request.sent is None:
            if request.error is not None:
                raise request.error
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            request.when_sent(lambda f=future, loop=loop: loop.call_soon_threadsafe(_set, f))  # type: ignore[misc]
            try:
                await future
            except asyncio.CancelledError:
                self.cancel()
                raise
        return request.sent

    def _again(self, sent: Any, error: BaseException) -> None:
        """The replica was full, or has died: the request waits again if it was not begun, and the error is raised if it was."""
        if not self._request.router.failed(self._request, sent, error):
            raise error

    def __reduce__(self) -> Any:
        raise RayServeException(
            f"`{type(self).__name__}` is not serializable. Pass it as an argument of another handle's remote() itself, not inside a "
            "list or dictionary; or await it and pass its value."
        )


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _refuse_in_loop() -> None:
    if in_asyncio_loop():
        raise RuntimeError(
            "Sync methods should not be called from within an `asyncio` event loop: they would block it. Use `await response` "
            "instead of `response.result()`."
        )


class DeploymentResponse(_Response, Generic[R]):
    """The answer of a call: await it, call `result()`, or pass it on as an argument without waiting.

    Example:
        ```python
        response = handle.remote(1)
        value = response.result(timeout_s=5)  # in plain code
        value = await response  # in async code
        downstream.remote(handle.remote(1))  # the value goes from one replica to the next
        ```
    """

    def __await__(self) -> Generator[Any, None, R]:
        request = self._request
        while True:
            sent = request.sent
            if sent is None:
                sent = yield from self._sent().__await__()
            try:
                value = yield from sent.__await__()
            except _PERHAPS_NOT_BEGUN as error:
                self._again(sent, error)
            except exceptions.TaskCancelledError as error:
                raise self._cancelled_error(error) from None
            except asyncio.CancelledError:
                self.cancel()
                raise
            else:
                return cast(R, value)

    def _cancelled_error(self, error: BaseException) -> BaseException:
        if isinstance(error, RequestCancelledError):
            return error
        return RequestCancelledError(self.request_id)

    def result(self, *, timeout_s: float | None = None, _skip_asyncio_check: bool = False) -> R:
        """Wait for the value.

        Args:
            timeout_s: Seconds to wait at most; None: until it is there.

        Returns:
            What the deployment returned.

        Raises:
            TimeoutError: it was not there in time; the request goes on.
            RequestCancelledError: the request was cancelled.
            BackPressureError: too many requests wait already.
            RuntimeError: called in an asyncio loop, which it would block.
        """
        if not _skip_asyncio_check:
            _refuse_in_loop()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            sent = self._sent_by(deadline)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                return cast(R, skate.get(sent, timeout=left))
            except _PERHAPS_NOT_BEGUN as error:
                self._again(sent, error)
            except exceptions.GetTimeoutError:
                raise exceptions.GetTimeoutError(_LATE) from None
            except exceptions.TaskCancelledError as error:
                raise self._cancelled_error(error) from None

    async def _to_object_ref(self) -> Any:
        """The ref of the value, once a replica has taken the request."""
        done = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        def settled() -> None:
            loop.call_soon_threadsafe(_set, done)

        self._request.when_done(settled)
        await done
        return await self._sent()

    def _to_object_ref_sync(
        self, _timeout_s: float | None = None, _allow_running_in_asyncio_loop: bool = False
    ) -> Any:
        if not _allow_running_in_asyncio_loop:
            _refuse_in_loop()
        deadline = None if _timeout_s is None else time.monotonic() + _timeout_s
        while True:
            sent = self._sent_by(deadline)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not skate.wait([sent], timeout=left)[0]:
                raise exceptions.GetTimeoutError(_LATE)
            if self._request.sent is sent and self._request.done:
                return sent
            time.sleep(0)  # its completion is being looked at by another thread

    def __repr__(self) -> str:
        return f"DeploymentResponse(request_id={self.request_id!r})"


class DeploymentResponseGenerator(_Response, Generic[R]):
    """The answers of a streaming call: iterate it with `for` or `async for`; each item comes as soon as it is yielded."""

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        _refuse_in_loop()
        while True:
            sent = self._sent_by(None)
            try:
                return cast(R, skate.get(next(sent)))
            except _PERHAPS_NOT_BEGUN as error:
                self._again(sent, error)
            except exceptions.TaskCancelledError:
                raise RequestCancelledError(self.request_id) from None

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        while True:
            sent = self._request.sent
            if sent is None:
                sent = await self._sent()
            try:
                ref = await sent.__anext__()
                return cast(R, await ref)
            except _PERHAPS_NOT_BEGUN as error:
                self._again(sent, error)
            except exceptions.TaskCancelledError:
                raise RequestCancelledError(self.request_id) from None
            except asyncio.CancelledError:
                self.cancel()
                raise

    def result(self, *, timeout_s: float | None = None, _skip_asyncio_check: bool = False) -> Any:
        """Refused: there are many values.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "`DeploymentResponseGenerator` doesn't support `.result()`: iterate it with `for` or `async for` instead."
        )

    async def _to_object_ref_gen(self) -> Any:
        """The generator of refs, once a replica has the request."""
        return await self._sent()

    def _to_object_ref_gen_sync(
        self, _timeout_s: float | None = None, _allow_running_in_asyncio_loop: bool = False
    ) -> Any:
        if not _allow_running_in_asyncio_loop:
            _refuse_in_loop()
        return self._sent_by(None if _timeout_s is None else time.monotonic() + _timeout_s)

    def __repr__(self) -> str:
        return f"DeploymentResponseGenerator(request_id={self.request_id!r})"


class DeploymentBroadcastResponse:
    """The answers of all replicas to one call."""

    def __init__(self, refs: list[Any]) -> None:
        self._refs = refs

    def results(self, *, timeout_s: float | None = None, return_exceptions: bool = False) -> list[Any]:
        """Wait for all of them; with `return_exceptions`, an error stands in the place of its answer."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        found: list[Any] = []
        for ref in self._refs:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                found.append(skate.get(ref, timeout=left))
            except exceptions.GetTimeoutError:
                raise exceptions.GetTimeoutError(_LATE) from None
            except Exception as error:
                if not return_exceptions:
                    raise
                found.append(error)
        return found

    async def results_async(
        self, *, timeout_s: float | None = None, return_exceptions: bool = False
    ) -> list[Any]:
        """As `results`, in async code."""
        waiting = asyncio.gather(*self._refs, return_exceptions=return_exceptions)
        return list(await asyncio.wait_for(waiting, timeout_s))


class DeploymentHandle(Generic[T]):
    """Calls a deployment from anywhere in the session: another deployment, a task, or the program.

    `handle.remote(…)` calls `__call__`, and `handle.method.remote(…)` a method. A call goes straight to the replica with the shorter of
    two queues, and waits in this process while all of them are full.
    """

    def __init__(
        self,
        deployment_name: str,
        app_name: str = SERVE_DEFAULT_APP_NAME,
        *,
        _meta: RequestMeta | None = None,
        _stream: bool = False,
        _router: Any = None,
    ) -> None:
        self._id = DeploymentID(deployment_name, app_name)
        self._meta = _meta if _meta is not None else RequestMeta(app_name=app_name)
        self._stream = _stream
        self._router = _router

    @property
    def deployment_name(self) -> str:
        """The deployment's name."""
        return self._id.name

    @property
    def app_name(self) -> str:
        """The application's name."""
        return self._id.app_name

    @property
    def deployment_id(self) -> DeploymentID:
        """Both names."""
        return self._id

    @property
    def is_initialized(self) -> bool:
        """Whether it has begun to follow which replicas there are."""
        return self._router is not None

    def _init(self, **_options: Any) -> None:
        """Begin to follow which replicas there are; the first call does so too.

        Raises:
            RuntimeError: it has begun already.
        """
        if self._router is not None:
            raise RuntimeError("Handle has already been initialized. Call _init() only once.")
        self._router = router_for(self._id)

    def running_replicas_populated(self) -> bool:
        """Whether it knows of a replica."""
        return self._router is not None and bool(self._router.slots)

    def options(
        self,
        *,
        method_name: str | DEFAULT = DEFAULT.VALUE,
        multiplexed_model_id: str | DEFAULT = DEFAULT.VALUE,
        session_id: str | DEFAULT = DEFAULT.VALUE,
        stream: bool | DEFAULT = DEFAULT.VALUE,
        _prefer_local_routing: bool | DEFAULT = DEFAULT.VALUE,
        _by_reference: bool | DEFAULT = DEFAULT.VALUE,
        request_serialization: str | DEFAULT = DEFAULT.VALUE,
        response_serialization: str | DEFAULT = DEFAULT.VALUE,
    ) -> DeploymentHandle[T]:
        """A handle to the same deployment with other options for its calls.

        Args:
            method_name: What to call, instead of `__call__`.
            multiplexed_model_id: The model that the request is for; see `serve.multiplexed`.
            session_id: The session that the request belongs to, for routers that keep one together.
            stream: Whether the method is a generator, whose items come one by one.
            request_serialization: Accepted for Ray's programs: arguments are pickled.
            response_serialization: Accepted for Ray's programs.
        """
        changes: dict[str, Any] = {
            name: str.__str__(value)
            if isinstance(value, str)
            else value  # no instance of a subclass, such as a member of an Enum, which can't be sent
            for name, value in given(
                method=method_name, multiplexed_model_id=multiplexed_model_id, session_id=session_id
            ).items()
        }
        return DeploymentHandle(
            self._id.name,
            self._id.app_name,
            _meta=self._meta._replace(**changes) if changes else self._meta,
            _stream=self._stream if isinstance(stream, DEFAULT) else bool(stream),
            _router=self._router,
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the deployment. Answers of other handles among the arguments are replaced by their values.

        Returns:
            A `DeploymentResponse`, or a `DeploymentResponseGenerator` with `options(stream=True)`.
        """
        router = self._followed()
        request = Request(router, self._made_now(self._meta), args, kwargs, self._stream)
        for value in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(value, _Response):
                _submit_after_arguments(request)
                break
        else:
            router.submit(request)
        return DeploymentResponseGenerator(request) if self._stream else DeploymentResponse(request)

    def _followed(self) -> Router:
        """The router of the deployment, which may have been deleted and deployed again."""
        router: Router | None = self._router
        if router is None or router._ended is not None:
            router = self._router = router_for(self._id)
        return router

    def _made_now(self, meta: RequestMeta) -> RequestMeta:
        """What travels with a request that is made now: its id and route are those of the request that is answered, if any."""
        parent = _serve_request_context.get()
        # Written out, as `_replace` takes several times as long.
        meta = RequestMeta(
            meta.method,
            parent.request_id or new_request_id(),
            meta.multiplexed_model_id,
            parent.route,
            meta.app_name,
            meta.session_id,
            meta.must_accept,
        )
        if tracing.is_on():
            with tracing.span(f"route_to_replica {self._id.name} {meta.method}", None):
                meta = meta._replace(trace=tracing.carrier())
        return meta

    @asynccontextmanager
    async def choose_replica(self, *args: Any, **kwargs: Any) -> AsyncIterator[ReplicaSelection]:
        """Choose a replica, as a call would, and keep a place for a request there, until it is dispatched or the context ends.

        Args:
            args: What the choice may depend on.
            kwargs: The same by name.

        Example:
            ```python
            async with handle.choose_replica(prompt) as selection:
                answer = await handle.dispatch(selection, prompt)
            ```
        """
        router = self._followed()
        place = Request(router, self._meta, args, kwargs, self._stream)
        place.reserves = True
        router.submit(place)
        slot = await _Response(place)._sent()
        node = next((each for each in skate.nodes() if each["NodeID"] == slot.info.node_id), {})
        selection = ReplicaSelection(
            slot.info.id, node.get("NodeManagerAddress", ""), None, slot.info.node_id, None, {}, place
        )
        try:
            yield selection
        finally:
            if not selection._dispatched:
                router.give_back(place)

    def dispatch(self, selection: ReplicaSelection, *args: Any, **kwargs: Any) -> Any:
        """Send a request to the replica that was chosen for it. The method and whether it streams are those of the choice.

        Returns:
            As `remote`. The answer is a `ReplicaUnavailableError` if the replica is gone, or about to go.

        Raises:
            ValueError: the choice was made by a handle to another deployment.
            RuntimeError: it was dispatched already.
        """
        place = selection._place
        if place.router.deployment != self._id:
            raise ValueError(
                f"the replica was chosen by a handle to {place.router.deployment}, not to {self._id}."
            )
        if selection._dispatched:
            raise RuntimeError("the place was used already: choose a replica for each request.")
        selection._dispatched = True
        meta = self._made_now(place.meta)._replace(must_accept=True)
        request = Request(place.router, meta, args, kwargs, place.stream)
        place.router.send_to_place(place, request)
        return DeploymentResponseGenerator(request) if place.stream else DeploymentResponse(request)

    def broadcast(self, method_name: str, *args: Any, **kwargs: Any) -> DeploymentBroadcastResponse:
        """Call a method of every replica that runs."""
        if self._router is None:
            self._router = router_for(self._id)
        self._router.known.wait()
        meta = self._meta._replace(
            method=str.__str__(method_name), request_id=new_request_id(), must_accept=True
        )
        slots = list(self._router.slots.values())
        return DeploymentBroadcastResponse(
            [slot.handle.handle_request.remote(meta.packed(), *args, **kwargs) for slot in slots]
        )

    def shutdown(self) -> None:
        """Accepted for Ray's programs: what a handle uses is shared by the process and ends with it."""

    async def shutdown_async(self) -> None:
        """As `shutdown`."""

    def __getattr__(self, name: str) -> DeploymentHandle[T]:
        if name.startswith("__") or name in ("_id", "_meta", "_stream", "_router"):
            raise AttributeError(name)
        return self.options(method_name=name)

    def __reduce__(self) -> Any:
        return _restore, (self._id.name, self._id.app_name, tuple(self._meta), self._stream)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeploymentHandle) and (self._id, self._meta, self._stream) == (
            other._id,
            other._meta,
            other._stream,
        )

    def __hash__(self) -> int:
        return hash((self._id, self._meta, self._stream))

    def __repr__(self) -> str:
        return f"DeploymentHandle(deployment='{self._id.name}')"


def _restore(name: str, app: str, meta: tuple[Any, ...], stream: bool) -> DeploymentHandle[Any]:
    return DeploymentHandle(name, app, _meta=RequestMeta(*meta), _stream=stream)


def _submit_after_arguments(request: Request) -> None:
    """Send a request once the answers among its arguments are there; they go as refs, from replica to replica."""
    positions: list[tuple[Any, Request]] = []
    for place, value in [*enumerate(request.args), *request.kwargs.items()]:
        if isinstance(value, DeploymentResponseGenerator):
            raise RuntimeError(
                "Streaming deployment handle results cannot be passed to downstream handle calls: iterate them first."
            )
        if isinstance(value, DeploymentResponse):
            positions.append((place, value._request))
    left = len(positions)
    router = request.router

    def arrived() -> None:
        nonlocal left
        with router.lock:
            left -= 1
            if left:
                return
        for _place, other in positions:
            if other.sent is None and other.error is not None:
                router.fail(request, other.error)
                return
        args: list[Any] = list(request.args)
        for place, other in positions:
            if isinstance(place, int):
                args[place] = other.sent
            else:
                request.kwargs[cast(str, place)] = other.sent
        request.args = tuple(args)
        router.submit(request)

    for _place, other in positions:
        other.when_done(arrived)
