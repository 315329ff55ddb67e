"""One request: made by `remote()`, perhaps waiting, sent to a replica, perhaps refused there and sent to another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.serve._private.common import RequestMeta

if TYPE_CHECKING:
    from skate.serve._private.routing.router import Router, Slot


class Request:
    """A request and where it is. `lock` of its router guards it."""

    __slots__ = (
        "args",
        "attempts",
        "callbacks",
        "cancelled",
        "done",
        "error",
        "kind",
        "kwargs",
        "meta",
        "number",
        "pinned",
        "reserves",
        "router",
        "sent",
        "slot",
        "stream",
        "when_done_callbacks",
    )

    def __init__(
        self,
        router: Router,
        meta: RequestMeta,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        stream: bool,
        kind: str = "",
    ) -> None:
        self.router = router
        self.meta = meta
        self.args = args
        self.kwargs = kwargs
        self.stream = stream
        self.kind = kind or ("handle_request_streaming" if stream else "handle_request")
        """The replica's method."""
        self.sent: Any = None
        """The ref of its answer, or the generator of them, once a replica has it."""
        self.slot: Slot | None = None
        self.number = 0
        """Which one it is of those that were sent to that replica."""
        self.error: BaseException | None = None
        self.cancelled = False
        self.reserves = False
        """Whether it only takes a place: it is with a replica as soon as that has room, and nothing is sent."""
        self.pinned = False
        """Whether it is for the replica that it is sent to, and no other."""
        self.attempts = 0
        self.callbacks: list[Callable[[], None]] | None = None
        """Who wants to know when it is sent, or has failed before it was."""
        self.done = False
        self.when_done_callbacks: list[Callable[[], None]] | None = None
        """Who wants to know when its answer is there, or it has failed."""

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Call back once it is with a replica, or never will be: at once if so already."""
        with self.router.lock:
            if self.sent is None and self.error is None:
                if self.callbacks is None:
                    self.callbacks = []
                self.callbacks.append(callback)
                return
        callback()

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back once its answer is there, or it has failed: at once if so already."""
        with self.router.lock:
            if not self.done and self.error is None:
                if self.when_done_callbacks is None:
                    self.when_done_callbacks = []
                self.when_done_callbacks.append(callback)
                return
        callback()

    def finish(self) -> None:
        """Its answer is there, or it has failed."""
        with self.router.lock:
            self.done = True
            callbacks, self.when_done_callbacks = self.when_done_callbacks, None
        for callback in callbacks or ():
            callback()

    def take_callbacks(self) -> list[Callable[[], None]]:
        """Who is to be told now (with the lock held)."""
        callbacks, self.callbacks = self.callbacks, None
        return callbacks or []

    def wait_sent(self, timeout: float | None) -> bool:
        """Block until it is with a replica, or never will be; False after `timeout` seconds."""
        event = threading.Event()
        self.when_sent(event.set)
        return event.wait(timeout)
