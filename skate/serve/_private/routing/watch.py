"""News from the controller: one question at a time for each thing that this process must know about.

A question waits at the controller until there is something new, or a few seconds; answers come on whichever thread reads the
process's sockets, so no thread or loop is needed here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import skate
from skate import exceptions
from skate.serve._private import client


class Watch:
    """A key of the controller's that is followed.

    Args:
        key: What is followed.
        on_news: Called with each new value, on any thread; with None once the controller is gone for good.
        report: What the controller is told with each question, such as the length of a queue.
    """

    def __init__(
        self, key: str, on_news: Callable[[Any], None], report: Callable[[], Any] = lambda: None
    ) -> None:
        self.key = key
        self._on_news = on_news
        self._report = report
        self._version = -1
        self._lock = threading.Lock()
        self._ended = False
        self._ref: Any = None
        client.look_again()  # a worker may have outlived the instance that it knew
        self._controller = client.controller()
        self._ask()

    def end(self) -> None:
        """Ask no more."""
        with self._lock:
            self._ended = True
            self._ref = None

    def _ask(self) -> None:
        ref = self._controller.listen.remote(self.key, self._version, self._report())
        with self._lock:
            if self._ended:
                return
            self._ref = ref  # a ref that nobody holds would be dropped with its answer
        ref._on_settled(lambda failed: self._answered(ref, failed))

    def _answered(self, ref: Any, failed: bool) -> None:
        if self._ended or self._ref is not ref:
            return
        if failed:
            try:
                skate.get(ref)
            except exceptions.ActorUnavailableError:
                # it restarts: the next question waits for it, and its versions begin anew
                self._version = -1
            except exceptions.RaySystemError:
                return  # the session has ended
            except (exceptions.RayActorError, exceptions.TaskCancelledError):
                self.end()
                client.forget(self._controller)
                self._on_news(None)
                return
        else:
            answer = skate.get(ref)
            if answer is not None:
                self._version, value = answer
                self._on_news(value)
        if not self._ended and skate.is_initialized():
            self._ask()
