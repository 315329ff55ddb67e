"""Tasks: one at a time, queued, from many callers, in a tree and in a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample, sample_in_turns
from benchmarks.raw import RawPair

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["chain", "four_callers", "queued", "round_trip", "tree"]

_CALLERS = 4


def round_trip(session: Session) -> dict[str, Measured]:
    """Call a task and get its result, one after the other, in turns with the raw socketpair."""
    with session.open() as ray, RawPair() as raw:
        nothing = ray.remote(work.nothing)

        def calls() -> None:
            for _ in range(100):
                ray.get(nothing.remote())

        ours, unit = sample_in_turns(session, [calls, lambda: raw.round_trips(100)], items=100, least=10)
    return {"seconds": Measured(ours, unit)}


def queued(session: Session) -> dict[str, Measured]:
    """Queue 1,000 tasks, then get them all."""
    with session.open() as ray:
        nothing = ray.remote(work.nothing)

        def batch() -> None:
            answers = ray.get([nothing.remote() for _ in range(work.QUEUED)])
            check(answers, [None] * work.QUEUED)

        return {"seconds": Measured(sample(session, batch, items=work.QUEUED))}


def four_callers(session: Session) -> dict[str, Measured]:
    """Four actors submit 10,000 tasks each at the same time and get them all."""
    each = session.size(10_000, 200)
    with session.open() as ray:
        nothing = ray.remote(work.nothing)

        class Caller:
            def submit(self, number: int) -> int:
                return len(ray.get([nothing.remote() for _ in range(number)]))

        caller_class = ray.remote(Caller)
        callers = [caller_class.remote() for _ in range(_CALLERS)]
        check(ray.get([caller.submit.remote(50) for caller in callers]), [50] * _CALLERS)

        def everyone() -> None:
            check(ray.get([caller.submit.remote(each) for caller in callers]), [each] * _CALLERS)

        seconds = sample(session, everyone, items=_CALLERS * each, warmups=0, least=2)
    return {"seconds": Measured(seconds)}


def tree(session: Session) -> dict[str, Measured]:
    """Fan out 10,000 tasks and add their results up in a tree of tasks, 100 to a node."""
    leaves = session.size(work.LEAVES, 500)
    with session.open() as ray:
        identity, total = ray.remote(work.identity), ray.remote(work.total)

        def grow() -> None:
            level: list[Any] = [identity.remote(index) for index in range(leaves)]
            while len(level) > 1:
                groups = [level[at : at + work.GROUP] for at in range(0, len(level), work.GROUP)]
                level = [total.remote(*group) for group in groups]
            check(ray.get(level[0]), leaves * (leaves - 1) // 2)

        return {"seconds": Measured(sample(session, grow, warmups=1, least=2))}


def chain(session: Session) -> dict[str, Measured]:
    """Submit 5,000 tasks, each needing the result of the one before, and get the last."""
    links = session.size(work.LINKS, 200)
    with session.open() as ray:
        add_one = ray.remote(work.add_one)

        def run() -> None:
            ref = add_one.remote(0)
            for _ in range(links - 1):
                ref = add_one.remote(ref)
            check(ray.get(ref), links)

        return {"seconds": Measured(sample(session, run, warmups=1, least=2))}
