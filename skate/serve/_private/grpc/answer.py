"""A gRPC call in a replica: the method of that name is called, and its messages go back as bytes."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import skate
from skate.serve._private.constants import SERVE_NAMESPACE, SERVE_PROXY_NAME
from skate.serve._private.replica.user import UserCode
from skate.serve.context import _serve_request_context
from skate.serve.exceptions import RayServeException
from skate.serve.grpc_util import RayServegRPCContext, gRPCInputStream


class Answer(NamedTuple):
    """What goes back: the message, if there is one, and what the method has set in its context."""

    body: bytes | None
    code: Any
    details: str | None
    trailing_metadata: list[tuple[str, str]]
    compression: Any
    error: str = ""
    """What the method raised after it had set a status."""


def _answer(context: RayServegRPCContext, body: bytes | None, error: str = "") -> Answer:
    return Answer(
        body, context.code(), context.details(), context.trailing_metadata(), context._compression, error
    )


async def unary(user: UserCode, name: str, message: Any, context: RayServegRPCContext, stream: str) -> Answer:
    """Call a method that gives one message.

    Args:
        user: The replica's code.
        name: The method.
        message: The client's message; None if it streams.
        context: The call's context.
        stream: The number under which the proxy keeps the client's messages, if it streams.
    """
    kwargs = _kwargs(user, name, context)
    try:
        value = await user.call(name, (_argument(message, stream),), kwargs)
    except Exception as error:
        if context.code() is None:
            raise
        return _answer(context, None, str(error) or repr(error))
    return _answer(context, _serialized(name, value))


async def streaming(
    user: UserCode, name: str, message: Any, context: RayServegRPCContext, stream: str
) -> AsyncIterator[bytes | Answer]:
    """Call a method that gives many messages; after the last one comes an `Answer` without a message."""
    kwargs = _kwargs(user, name, context)
    try:
        async for item in user.stream(name, (_argument(message, stream),), kwargs):
            yield _serialized(name, item)
    except Exception as error:
        if context.code() is None:
            raise
        yield _answer(context, None, str(error) or repr(error))
        return
    yield _answer(context, None)


def _kwargs(user: UserCode, name: str, context: RayServegRPCContext) -> dict[str, Any]:
    request = _serve_request_context.get()
    request.grpc_context = context
    return {"grpc_context": context} if _wants_context(user.method(name).function) else {}


def _wants_context(function: Callable[..., Any]) -> bool:
    try:
        return "grpc_context" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _serialized(name: str, value: Any) -> bytes:
    serialize = getattr(value, "SerializeToString", None)
    if serialize is None:
        raise RayServeException(
            f"method '{name}' answered a gRPC call with a {type(value).__name__}: it must return a message of the service's "
            "response type."
        )
    found: bytes = serialize()
    return found


def _argument(message: Any, stream: str) -> Any:
    return gRPCInputStream(_messages(stream)) if stream else message


async def _messages(stream: str) -> AsyncIterator[Any]:
    """The messages of a client that streams, from the proxy that reads them."""
    proxy = skate.get_actor(SERVE_PROXY_NAME, namespace=SERVE_NAMESPACE)
    while (found := await proxy.next_grpc_message.remote(stream)) is not None:
        yield found[0]
