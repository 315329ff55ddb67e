"""Plain Python: what the machine can do with no system in between."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import TYPE_CHECKING

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample
from benchmarks.processes import memory_of_run

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from benchmarks.session import Session

__all__ = ["bootstrap", "hundred", "tree"]


def hundred(session: Session) -> dict[str, Measured]:
    """100 spawned processes, one answer from each."""
    number = session.size(100, 5)
    context = multiprocessing.get_context("spawn")
    begin = time.perf_counter()
    pipes, processes = [], []
    for _ in range(number):
        near, far = context.Pipe()
        process = context.Process(target=_answer, args=(far,))
        process.start()
        far.close()
        pipes.append(near)
        processes.append(process)
    pids = {pipe.recv() for pipe in pipes}
    seconds = time.perf_counter() - begin
    check(len(pids), number)
    memory = memory_of_run()
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()
    return {
        "seconds": Measured([seconds]),
        "uss": Measured([float(memory.uss)]),
        "pss": Measured([float(memory.pss)]),
    }


def _answer(pipe: Connection) -> None:
    pipe.send(os.getpid())
    pipe.recv()


def bootstrap(session: Session) -> dict[str, Measured]:
    """The simulations in one loop, on one core."""
    number = session.size(work.BOOTSTRAPS, 200)
    data = work.delays()

    def run() -> None:
        work.check_means([work.simulate(data, seed) for seed in range(number)], number)

    return {"seconds": Measured(sample(session, run, warmups=0, least=2))}


def tree(session: Session) -> dict[str, Measured]:
    """The tree in one process: calls, and nothing else."""
    leaves = session.size(work.LEAVES, 500)

    def grow() -> None:
        level = [work.identity(index) for index in range(leaves)]
        while len(level) > 1:
            level = [work.total(*level[at : at + work.GROUP]) for at in range(0, len(level), work.GROUP)]
        check(level[0], leaves * (leaves - 1) // 2)

    return {"seconds": Measured(sample(session, grow, seconds=0.2))}
