"""Questions that only the other processes can answer, put to all of them at once. Pure.

Instructions are appended to `out`:

    ("tell", client, number, what, asked)      put the question to that process
    ("done", token, what, asked, {client: payload}, [clients that gave no answer])
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Question:
    """One question under way."""

    __slots__ = ("answers", "asked", "awaited", "deadline", "token", "what")

    def __init__(self, token: Any, what: str, asked: Any, awaited: set[int], deadline: float) -> None:
        self.token = token
        self.what = what
        self.asked = asked
        self.awaited = awaited
        self.deadline = deadline
        self.answers: dict[int, bytes] = {}


class Reports:
    """The questions under way."""

    def __init__(self) -> None:
        self.questions: dict[int, Question] = {}
        self.out: list[tuple[Any, ...]] = []
        self._next = 1

    def ask(self, token: Any, what: str, asked: Any, clients: Iterable[int], deadline: float) -> None:
        """Ask these processes; `token` comes back with their answers."""
        number, self._next = self._next, self._next + 1
        question = self.questions[number] = Question(token, what, asked, set(clients), deadline)
        for client in sorted(question.awaited):
            self.out.append(("tell", client, number, what, asked))
        self._finish_if_complete(number)

    def told(self, client: int, number: int, payload: bytes) -> None:
        """A process answers; too late is as never."""
        question = self.questions.get(number)
        if question is not None and client in question.awaited:
            question.awaited.discard(client)
            question.answers[client] = payload
            self._finish_if_complete(number)

    def client_left(self, client: int) -> None:
        """A process is gone: it answers no more."""
        for number, question in list(self.questions.items()):
            question.awaited.discard(client)
            self._finish_if_complete(number)

    def tick(self, now: float) -> None:
        """Do without the processes that have let the deadline pass."""
        for number, question in list(self.questions.items()):
            if now >= question.deadline:
                self._finish(number)

    def next_deadline(self) -> float | None:
        """When `tick` must come at the latest; None while nothing is asked."""
        return min((q.deadline for q in self.questions.values()), default=None)

    def _finish_if_complete(self, number: int) -> None:
        if not self.questions[number].awaited:
            self._finish(number)

    def _finish(self, number: int) -> None:
        question = self.questions.pop(number)
        self.out.append(
            (
                "done",
                question.token,
                question.what,
                question.asked,
                question.answers,
                sorted(question.awaited),
            )
        )
