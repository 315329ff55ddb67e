"""Calls of a handle, from the driver."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check, sample

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["calls"]


def calls(session: Session) -> dict[str, Measured]:
    """One call after the other, and a thousand at once, to a deployment with room for them."""
    module = session.load()
    serve = importlib.import_module(f"{module.__name__}.serve")
    module.init(num_cpus=2)
    try:
        serve.start(proxy_location="Disabled")

        @serve.deployment(max_ongoing_requests=1000)
        class Echo:
            async def __call__(self, value: int) -> int:
                return value

        echo: Any = Echo
        handle = serve.run(echo.bind(), route_prefix=None)
        number = session.size(1000, 20)

        def one() -> None:
            check(handle.remote(1).result(), 1)

        def many() -> None:
            responses: list[Any] = [handle.remote(value) for value in range(number)]
            check([response.result() for response in responses], list(range(number)))

        found = {
            "one": Measured(sample(session, one, least=50)),
            "many": Measured(sample(session, many, items=number)),
        }
        serve.shutdown()
        return found
    finally:
        module.shutdown()
