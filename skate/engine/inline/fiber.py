"""The greenlet of a task, and the state of the thread that is switched with it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import greenlet

from skate.core.environment.enter import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from skate.engine.inline.resources import Holding


class Latch:
    """Counts events down; whoever waits goes on at zero."""

    __slots__ = ("left", "on_zero", "what")

    def __init__(self, left: int, what: Callable[[], str]) -> None:
        self.left = left
        self.what = what
        """What is waited for, in words."""
        self.on_zero: Callable[[Latch], None] | None = None

    def __call__(self, _event: Any = None) -> None:
        """One event has come."""
        self.left -= 1
        if self.left <= 0 and self.on_zero is not None:
            self.on_zero(self)

    def open(self) -> None:
        """Do not wait for the rest."""
        self.left = min(self.left, 1)
        self()


class Fiber(greenlet.greenlet):
    """One task, actor call or step of an event loop: it belongs to the thread that starts it."""

    def __init__(self, run: Callable[[], None], who: str) -> None:
        super().__init__(run)
        self.who = who
        self.thread = threading.get_ident()
        self._inside: greenlet.greenlet | None = None
        """The greenlet of its own code that gave way, if that has begun some."""
        self.latch: Latch | None = None
        """What it waits for, while it waits."""
        self.pending_error: BaseException | None = None
        """What it raises when it goes on."""
        self.env: dict[str, str] = {}
        """Environment variables of its own."""
        self.holding: Holding | None = None
        self.doomed = False
        """It is being ended and may not wait any more."""

    def go_on(self) -> None:
        """Run it until it waits or ends; called by whoever schedules."""
        if self.dead:
            return
        self.parent = greenlet.getcurrent()
        inside, self._inside = self._inside or self, None
        with _own_thread_state(), _environment(self):
            inside.switch()

    def give_way(self) -> None:
        """Return to whoever schedules, until `go_on` is called again; called in the fiber itself."""
        assert self.parent is not None
        self._inside = greenlet.getcurrent()
        with _own_thread_state():
            self.parent.switch()
        if self.pending_error is not None:
            error, self.pending_error = self.pending_error, None
            raise error


def current_fiber() -> Fiber | None:
    """The fiber that runs, or None in code that no fiber runs."""
    found: greenlet.greenlet | None = greenlet.getcurrent()
    while found is not None and not isinstance(found, Fiber):
        found = found.parent  # a task's code may have begun greenlets of its own
    return found


@contextmanager
def _own_thread_state() -> Iterator[None]:
    """Hide the running event loop of this thread: a fiber has one of its own, or none."""
    events: Any = sys.modules.get("asyncio.events")
    hooks = sys.get_asyncgen_hooks()
    loop = None if events is None else events._get_running_loop()
    if loop is None:
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events = sys.modules.get("asyncio.events")
            if events is not None:
                events._set_running_loop(None)
        return
    swap: Any = getattr(sys.modules["asyncio.tasks"], "_swap_current_task", None)
    task = None if swap is None else swap(loop, None)
    events._set_running_loop(None)
    sys.set_asyncgen_hooks(None, None)
    try:
        yield
    finally:
        events._set_running_loop(loop)
        if swap is not None:
            swap(loop, task)
        sys.set_asyncgen_hooks(*hooks)


@contextmanager
def _environment(fiber: Fiber) -> Iterator[None]:
    """Put the fiber's environment variables in place; what it changes of them it finds again."""
    if not fiber.env:
        yield
        return
    before = {name: os.environ.get(name) for name in fiber.env}
    os.environ.update({name: expand(value) for name, value in fiber.env.items()})
    try:
        yield
    finally:
        fiber.env = {name: os.environ[name] for name in fiber.env if name in os.environ}
        restore_environment(before)


def restore_environment(before: Mapping[str, str | None]) -> None:
    """Set variables to what they were; None means unset."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
