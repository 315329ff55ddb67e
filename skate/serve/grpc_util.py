"""What a gRPC method of a deployment is given beside its message: the call's context, and the messages of a client that streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

__all__ = ["RayServegRPCContext", "gRPCInputStream"]

_APPLICATION = "application"
_REQUEST_ID = "request_id"
_MODEL_ID = "multiplexed_model_id"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


class RayServegRPCContext:
    """The context of a gRPC call, as far as it can travel to a replica: what the client said, and what is to be told to it.

    A method of a deployment that has a parameter `grpc_context` is given one.

    Example:
        ```python
        @serve.deployment
        class Greeter:
            def Hello(self, request, grpc_context):
                if not request.name:
                    grpc_context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
                    grpc_context.set_details("a name is needed")
                return Greeting(text=f"hello {request.name}")
        ```
    """

    def __init__(self, grpc_context: Any) -> None:
        self._auth_context = dict(grpc_context.auth_context())
        self._code = grpc_context.code()
        self._details = _text(grpc_context.details())
        self._invocation_metadata = [(key, value) for key, value in grpc_context.invocation_metadata() or ()]
        self._peer = grpc_context.peer()
        self._peer_identities = grpc_context.peer_identities()
        self._peer_identity_key = grpc_context.peer_identity_key()
        self._trailing_metadata = [(key, value) for key, value in grpc_context.trailing_metadata() or ()]
        self._compression: Any = None

    def auth_context(self) -> dict[str, Any]:
        """What is known of how the client has shown who it is."""
        return self._auth_context

    def code(self) -> grpc.StatusCode | None:
        """The status that was set; None if none was."""
        return self._code

    def details(self) -> str:
        """The words beside the status."""
        return self._details

    def invocation_metadata(self) -> list[tuple[str, str]]:
        """The metadata that the client sent."""
        return self._invocation_metadata

    def peer(self) -> str:
        """The client's address."""
        return str(self._peer)

    def peer_identities(self) -> Sequence[bytes] | None:
        """Who the client is, if it has shown that."""
        return self._peer_identities  # type: ignore[no-any-return]

    def peer_identity_key(self) -> str | None:
        """What kind of thing `peer_identities` are."""
        return self._peer_identity_key  # type: ignore[no-any-return]

    def trailing_metadata(self) -> list[tuple[str, str]]:
        """The metadata that goes to the client at the end."""
        return self._trailing_metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that the client gets."""
        self._code = code

    def set_compression(self, compression: grpc.Compression) -> None:
        """Set how answers are compressed."""
        self._compression = compression

    def set_details(self, details: str) -> None:
        """Set the words beside the status."""
        self._details = details

    def set_trailing_metadata(self, trailing_metadata: Sequence[tuple[str, str]]) -> None:
        """Set the metadata that goes to the client at the end, beside the request's id."""
        own = [pair for pair in self._trailing_metadata if pair[0] == _REQUEST_ID]
        self._trailing_metadata = [*own, *trailing_metadata]

    def _sent(self, key: str) -> str | None:
        return next((str(value) for name, value in self._invocation_metadata if name == key), None)

    def application(self) -> str | None:
        """The application that the client named; None if it named none."""
        return self._sent(_APPLICATION)

    def request_id(self) -> str | None:
        """The request's id that the client sent; None if it sent none. The one that was made then is in `trailing_metadata`."""
        return self._sent(_REQUEST_ID)

    def multiplexed_model_id(self) -> str | None:
        """The model that the request is for; None for none."""
        return self._sent(_MODEL_ID)

    def traceparent(self) -> str | None:
        """Where the client's trace stands, by W3C's Trace Context; None if there is none."""
        return self._sent("traceparent")

    def tracestate(self) -> str | None:
        """What vendors add to `traceparent`; None for nothing."""
        return self._sent("tracestate")


class gRPCInputStream:  # noqa: N801
    """The messages of a client that streams: `async for message in stream`.

    Args:
        request_iterator: Where they come from.
        cancel_event: Set once the client has gone.
    """

    def __init__(
        self, request_iterator: AsyncIterator[Any], *, cancel_event: asyncio.Event | None = None
    ) -> None:
        self._iterator = request_iterator
        self._cancelled = asyncio.Event() if cancel_event is None else cancel_event
        self._exhausted = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._cancelled.is_set() or self._exhausted:
            raise StopAsyncIteration
        try:
            return await self._iterator.__anext__()
        except StopAsyncIteration:
            self._exhausted = True
            raise

    def cancel(self) -> None:
        """Read no more."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether nothing is read any more, as `cancel` was called or the client has gone."""
        return self._cancelled.is_set()

    @property
    def is_exhausted(self) -> bool:
        """Whether the client has sent its last message and it has been read."""
        return self._exhausted
