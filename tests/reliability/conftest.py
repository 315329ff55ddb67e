"""A test that fails in the middle of a session takes no other down with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import skate


@pytest.fixture(autouse=True)
def _no_session_is_left() -> Iterator[None]:
    yield
    skate.shutdown()
