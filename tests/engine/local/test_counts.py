"""Counts of refs that a process was sent: nobody is told that one went who was not told that it came."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from skate.engine.local.client.objects import Objects

KEY, OTHER = 1 << 64, 2 << 64


class Meanwhile(deque[Any]):
    """A queue that does something once, as another thread might, when it is first read."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self.action: Callable[[], object] | None = action

    def popleft(self) -> Any:
        action, self.action = self.action, None
        if action is not None:
            action()
        return super().popleft()


@pytest.fixture
def objects() -> Iterator[Objects]:
    """What a process knows, without a session."""
    engine: Any = SimpleNamespace(loop=SimpleNamespace(mutex=threading.Lock(), parked=False))
    arena_fd = os.memfd_create("arena")
    os.ftruncate(arena_fd, 4096)
    yield Objects(engine, arena_fd, 4096)
    os.close(arena_fd)


def test_a_ref_that_stays_is_told_of_once(objects: Objects) -> None:
    ref = objects.restore(KEY)
    assert objects.restore(KEY) is ref
    objects.count()
    assert objects.changes == {KEY: 1}
    objects.changes.clear()
    del ref
    objects.count()
    assert objects.changes == {KEY: -1}
    assert KEY not in objects.known


def test_one_that_came_and_went_is_not_told_of(objects: Objects) -> None:
    objects.restore(KEY)
    objects.count()
    assert objects.changes == {}
    assert KEY not in objects.known


def test_one_that_comes_again_before_its_end_was_counted(objects: Objects) -> None:
    objects.restore(KEY)
    ref = objects.restore(KEY)
    objects.count()
    assert objects.changes == {KEY: 1}
    assert objects.restore(KEY) is ref


@pytest.mark.parametrize("queue", ["came", "gone"])
def test_one_that_comes_and_goes_while_others_are_counted(objects: Objects, queue: str) -> None:
    setattr(objects, queue, Meanwhile(lambda: objects.restore(OTHER)))
    first = objects.restore(KEY)
    if queue == "gone":
        del first
    objects.count()
    assert OTHER not in objects.changes
    objects.count()
    assert OTHER not in objects.changes
    assert OTHER not in objects.known
