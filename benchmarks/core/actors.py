"""Actors: one call at a time, queued, threaded, asyncio, many to many, and a hundred at once."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample
from benchmarks.processes import memory_of_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Session

__all__ = ["asynchronous", "hundred", "many_to_many", "plain", "threaded"]

_MANY = 4


class Echo:
    """The plain actor."""

    def answer(self, value: int = 7) -> int:
        """Return what was passed."""
        return value


class AsyncEcho:
    """The asyncio actor."""

    async def answer(self, value: int = 7) -> int:
        """Give the loop a turn and return what was passed."""
        await asyncio.sleep(0)
        return value


def plain(session: Session) -> dict[str, Measured]:
    """Call a plain actor: one call at a time, then 1,000 queued."""
    with session.open() as ray:
        return _both(session, ray, ray.remote(Echo).remote())


def asynchronous(session: Session) -> dict[str, Measured]:
    """Call an asyncio actor: one call at a time, then 1,000 queued."""
    with session.open() as ray:
        return _both(session, ray, ray.remote(AsyncEcho).remote())


def threaded(session: Session) -> dict[str, Measured]:
    """Queue 1,000 calls on an actor with 16 threads."""
    with session.open() as ray:
        actor = ray.remote(Echo).options(max_concurrency=16).remote()
        return {"queued": Measured(sample(session, _batch(ray, actor), items=work.QUEUED))}


def _both(session: Session, ray: Any, actor: Any) -> dict[str, Measured]:
    def calls() -> None:
        for _ in range(100):
            ray.get(actor.answer.remote())

    alone = sample(session, calls, items=100, least=10)
    return {
        "seconds": Measured(alone),
        "queued": Measured(sample(session, _batch(ray, actor), items=work.QUEUED)),
    }


def _batch(ray: Any, actor: Any) -> Callable[[], None]:
    def batch() -> None:
        answers = ray.get([actor.answer.remote(index) for index in range(work.QUEUED)])
        check(answers, list(range(work.QUEUED)))

    return batch


def many_to_many(session: Session) -> dict[str, Measured]:
    """Four calling actors spread calls over four answering actors: without an argument, then with a ref."""
    each = session.size(2_500, 100)
    with session.open() as ray:
        echo = ray.remote(Echo)

        class Caller:
            def __init__(self, targets: list[Any]) -> None:
                self.targets = targets

            def call(self, number: int) -> int:
                targets = self.targets
                refs = [targets[index % len(targets)].answer.remote() for index in range(number)]
                return sum(ray.get(refs))

            def call_with_ref(self, number: int) -> int:
                targets, argument = self.targets, ray.put(7)
                refs = [targets[index % len(targets)].answer.remote(argument) for index in range(number)]
                return sum(ray.get(refs))

        targets = [echo.remote() for _ in range(_MANY)]
        caller_class = ray.remote(Caller)
        callers = [caller_class.remote(targets) for _ in range(_MANY)]

        def everyone(method: str) -> Callable[[], None]:
            def run() -> None:
                sums = ray.get([getattr(caller, method).remote(each) for caller in callers])
                check(sums, [7 * each] * _MANY)

            return run

        items = _MANY * each
        return {
            "seconds": Measured(sample(session, everyone("call"), items=items, warmups=1, least=3)),
            "with_ref": Measured(sample(session, everyone("call_with_ref"), items=items, warmups=1, least=3)),
        }


def hundred(session: Session) -> dict[str, Measured]:
    """Create 100 actors, each a process of its own, and get one answer from each."""
    number = session.size(100, 5)
    with session.open() as ray:

        class Host:
            def where(self) -> int:
                return os.getpid()

        begin = time.perf_counter()
        host = ray.remote(Host)
        actors = [host.remote() for _ in range(number)]
        pids = ray.get([actor.where.remote() for actor in actors])
        seconds = time.perf_counter() - begin
        check(len(set(pids)), number)
        memory = memory_of_run()
    return {
        "seconds": Measured([seconds]),
        "uss": Measured([float(memory.uss)]),
        "pss": Measured([float(memory.pss)]),
    }
