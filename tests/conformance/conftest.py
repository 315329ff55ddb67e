"""Sessions for the conformance tests: one shared by the plain tests of a module, or one of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.leaks import guard

from .api import ENGINES, PEER, launch, ray
from .support import apply_deviations, engine_of

_HERE = Path(__file__).parent


class _Shared:
    """Remembers which engine the shared session runs on, if there is one."""

    engine: str | None = None

    @classmethod
    def stop(cls) -> None:
        shared, cls.engine = cls.engine, None
        ray.shutdown()
        if shared is not None:
            guard.close()

    @classmethod
    def ensure(cls, engine: str) -> None:
        if cls.engine != engine or not ray.is_initialized():
            cls.stop()
            guard.open()
            cls.engine = engine
            launch(engine)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark that states gaps; the peer's own warnings are not ours to mend."""
    config.addinivalue_line("markers", "deviation(gaps): gaps stated through tests/conformance/support.py")
    if PEER:
        config.addinivalue_line("filterwarnings", "ignore")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Apply the stated gaps, and run the tests that share a session before those that start their own."""
    ours = [item for item in items if item.path.parent == _HERE]
    apply_deviations(ours)
    modules = {path: place for place, path in enumerate(dict.fromkeys(item.path for item in ours))}

    def place(item: pytest.Item) -> tuple[int, int, bool]:
        engine = engine_of(item)
        own = "start" in getattr(item, "fixturenames", ())
        return (ENGINES.index(engine) if engine in ENGINES else -1, modules[item.path], own)

    slots = [index for index, item in enumerate(items) if item.path.parent == _HERE]
    for slot, item in zip(slots, sorted(ours, key=place), strict=True):
        items[slot] = item


@pytest.fixture(params=ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """The engine this test runs on."""
    return str(request.param)


@pytest.fixture(scope="module")
def _end_of_module(engine: str) -> Iterator[None]:
    yield
    _Shared.stop()


@pytest.fixture(autouse=True)
def _session(request: pytest.FixtureRequest, engine: str, _end_of_module: None) -> None:
    """Give a test the module's shared two-CPU session, unless it starts its own."""
    if "start" not in request.fixturenames:
        _Shared.ensure(engine)


@pytest.fixture
def start(engine: str) -> Iterator[Callable[..., Any]]:
    """``start(**init_arguments)`` starts a session of this test's own; until then there is none."""
    _Shared.stop()
    yield lambda **arguments: launch(engine, **arguments)
    _Shared.stop()
