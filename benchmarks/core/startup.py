"""How soon the first result is there, what memory is held then, and how soon all is gone."""

from __future__ import annotations

import os
import time

from benchmarks.session import CPUS

TYPE_CHECKING = False  # as typing's own, without importing typing before the clock starts
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.measure import Measured
    from benchmarks.session import Session

__all__ = ["first_task", "report_startup"]

_PATIENCE = 5.0  # seconds


def first_task(session: Session) -> dict[str, Measured]:
    """Import, init, first result; memory a second later; shutdown."""
    begin = time.perf_counter()
    ray = session.load()
    imported = time.perf_counter()
    ray.init(num_cpus=CPUS)

    def answer() -> int:
        return 42

    got = ray.get(ray.remote(answer).remote())
    first = time.perf_counter()
    return report_startup(begin, imported, first, got, ray.shutdown)


def report_startup(begin: float, imported: float, first: float, got: int, stop: Any) -> dict[str, Measured]:
    """Take the rest of any system's startup metrics: memory, ``stop()``, and when its processes are gone."""
    from benchmarks.measure import Measured, check
    from benchmarks.processes import alive, memory_of_run, processes_of
    from benchmarks.session import TOKEN

    check(got, 42)
    time.sleep(1.0)  # what a system still starts in the background belongs to its memory
    memory = memory_of_run()
    others = [process for process in processes_of(os.environ[TOKEN]) if process.pid != os.getpid()]
    stopping = time.perf_counter()
    stop()
    stopped = time.perf_counter()
    left = [process for process in others if alive(process)]
    while left and time.perf_counter() < stopping + _PATIENCE:
        time.sleep(0.002)
        left = [process for process in left if alive(process)]
    gone = time.perf_counter()
    error = f"{len(left)} of {len(others)} processes live {_PATIENCE:g} s after shutdown" if left else ""
    return {
        "import": Measured([imported - begin]),
        "first": Measured([first - begin]),
        "shutdown": Measured([stopped - stopping]),
        "gone": Measured([] if left else [gone - stopping], error=error),
        "uss": Measured([float(memory.uss)]),
        "pss": Measured([float(memory.pss)]),
    }
