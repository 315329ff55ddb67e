"""A job of the suite: timed, its memory watched, and its answer checked."""

from __future__ import annotations

import importlib
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.data.files import files, small_files
from benchmarks.measure import Measured
from benchmarks.processes import memory_of_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.data.files import Files
    from benchmarks.session import Session

__all__ = ["Answer", "Peak", "Peer", "measure", "same"]

Answer = dict[str, float]

_SECONDS = 10.0  # a job that takes longer in all is not repeated
_REPEATS = 5
_WARMUPS = 3
_EVERY = 0.05  # seconds between two looks at the memory


class Peer:
    """A peer's module, imported when it is first used: the runner, which lacks it, reads what jobs there are."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


def same(found: Answer, files: Files) -> None:
    """Raise unless the answer is right.

    Raises:
        RuntimeError: it is not.

    """
    for name, value in found.items():
        expected = files.answers[name]
        if not math.isclose(float(value), expected, rel_tol=1e-6, abs_tol=1e-6):
            raise RuntimeError(f"wrong answer: {name} is {value!r}, expected {expected!r}")


def measure(
    session: Session, run: Callable[[Files], Any], look: Callable[[Any], Answer]
) -> dict[str, Measured]:
    """Time a job on the large set and on the small one, and watch its memory on the large one.

    Args:
        session: The measurement.
        run: Does the job.
        look: Tells of its result what is checked.

    """
    small, large = small_files(), files(session.quick)
    for _ in range(1 if session.quick else _WARMUPS):
        same(look(run(small)), small)
    warm = _times(run, small, session.quick)
    same(look(run(large)), large)
    seconds = _times(run, large, session.quick)
    peak = Peak()
    with peak:
        result = run(large)
    del result
    return {"seconds": Measured(seconds), "small": Measured(warm), "memory": Measured([float(peak.bytes)])}


def _times(run: Callable[[Files], Any], given: Files, quick: bool) -> list[float]:
    times: list[float] = []
    while not times or (not quick and len(times) < _REPEATS and sum(times) < _SECONDS):
        start = time.perf_counter()
        result = run(given)
        times.append(time.perf_counter() - start)
        del result
    return times


class Peak:
    """The most memory that the processes of this measurement held while a block ran."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, memory_of_run().pss)
            if self._stop.wait(_EVERY):
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.bytes = max(self.bytes, memory_of_run().pss)
        self._stop.set()
        self._thread.join()
