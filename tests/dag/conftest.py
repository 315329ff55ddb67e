"""One session a module and engine; `SKATE_CONFORMANCE_PEER=ray` runs the same tests on Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.api import ENGINES, PEER, launch, ray
from tests.leaks import guard

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """The peer's own warnings are not ours to mend."""
    if PEER:
        config.addinivalue_line("filterwarnings", "ignore")


@pytest.fixture(params=ENGINES, scope="module", autouse=True)
def session(request: pytest.FixtureRequest) -> Iterator[str]:
    """A two-CPU session on one engine; gives the engine's name."""
    ray.shutdown()
    with guard.window():
        launch(request.param)
        yield str(request.param)
        ray.shutdown()
