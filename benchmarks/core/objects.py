"""Objects: small and large puts and gets, waiting, and objects that hold refs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample, sample_in_turns

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["holding_refs", "put_large", "small", "tasks_putting", "wait_one_by_one"]

_LARGE, _MIDDLE, _PUTTERS = 800_000_000, 80_000_000, 10


def small(session: Session) -> dict[str, Measured]:
    """Put a small value, each released at once; get one that is there."""
    with session.open() as ray:
        ray.get(ray.remote(work.nothing).remote())
        ref = ray.put(7)
        check(ray.get(ref), 7)

        def puts() -> None:
            for index in range(500):
                ray.put(index)

        def gets() -> None:
            for _ in range(500):
                ray.get(ref)

        return {
            "put": Measured(sample(session, puts, items=500)),
            "get": Measured(sample(session, gets, items=500)),
        }


def wait_one_by_one(session: Session) -> dict[str, Measured]:
    """Submit 1,000 tasks and wait for them one by one; then the same when all have finished already."""
    number = session.size(1_000, 100)
    with session.open() as ray:
        nothing = ray.remote(work.nothing)

        def drain(rest: list[object]) -> None:
            seen = 0
            while rest:
                ready, rest = ray.wait(rest)
                seen += len(ready)
            check(seen, number)

        def running() -> None:
            drain([nothing.remote() for _ in range(number)])

        def finished() -> list[float]:
            refs = [nothing.remote() for _ in range(number)]
            ray.get(refs)
            return sample(session, lambda: drain(refs), warmups=0, least=1, seconds=0.0)

        return {
            "seconds": Measured(sample(session, running)),
            "finished": Measured([taken for _ in range(session.size(10, 1)) for taken in finished()]),
        }


def holding_refs(session: Session) -> dict[str, Measured]:
    """Get an object that holds 10,000 refs, made by a task, again and again."""
    number = session.size(10_000, 200)
    with session.open() as ray:

        def make(number: int) -> list[object]:
            return [ray.put(index) for index in range(number)]

        holder = ray.remote(make).remote(number)
        ray.wait([holder])

        def read() -> None:
            check(len(ray.get(holder)), number)

        seconds = sample(session, read, warmups=1)
        check(ray.get(holder) is ray.get(holder), False)  # each get gives a list of its own
        check(ray.get(ray.get(holder)[-1]), number - 1)
        return {"seconds": Measured(seconds)}


def put_large(session: Session) -> dict[str, Measured]:
    """Put an array of 800 MB: the first of a session, then again and again, in turns with a plain copy."""
    import numpy as np

    size = session.size(_LARGE, 8_000_000)
    array = np.ones(size // 8)
    target = np.zeros_like(array)
    target.fill(0.0)  # a copy into pages that are there already
    with session.open() as ray:
        ray.get(ray.remote(work.nothing).remote())
        begin = time.perf_counter()
        ref = ray.put(array)
        first = time.perf_counter() - begin
        view = ray.get(ref)
        check((view.nbytes, float(view[0]), float(view[-1])), (size, 1.0, 1.0))
        del view, ref

        def put() -> None:
            ray.put(array)

        def copy() -> None:
            np.copyto(target, array)

        puts, copies = sample_in_turns(session, [put, copy], least=7)
    return {
        "first": Measured([size / first]),
        "again": Measured([size / taken for taken in puts], [size / taken for taken in copies]),
    }


def tasks_putting(session: Session) -> dict[str, Measured]:
    """Ten tasks put an array of 80 MB each; the bytes of all ten over the time of all ten."""
    size = session.size(_MIDDLE, 800_000)
    with session.open() as ray:

        def put() -> int:
            array = work.large_array(size)
            ray.put(array)
            return int(array.nbytes)

        put_remotely = ray.remote(put)

        def everyone() -> None:
            check(sum(ray.get([put_remotely.remote() for _ in range(_PUTTERS)])), _PUTTERS * size)

        seconds = sample(session, everyone, warmups=2)
    return {"rate": Measured([_PUTTERS * size / taken for taken in seconds])}
