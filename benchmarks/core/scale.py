"""Costs that must stay flat: a million tasks, tasks that wait, actors that idle."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample, wait_until
from benchmarks.processes import memory_of_run, processes_of
from benchmarks.session import CPUS, TOKEN, Session

__all__ = ["flat", "idle_actors", "pending"]


def flat(session: Session) -> dict[str, Measured]:
    """Cost of a task when 1,000,000 are queued at once; the reference is its cost at 10,000."""
    few, many = session.size(10_000, 500), session.size(1_000_000, 5_000)
    with session.open() as ray:
        identity = ray.remote(work.identity)

        def run(number: int) -> None:
            answers = ray.get([identity.remote(index) for index in range(number)])
            check(sum(answers), number * (number - 1) // 2)

        before = sample(session, lambda: run(few), items=few)
        at_many = sample(session, lambda: run(many), items=many, warmups=0, least=1, seconds=0.0)
        after = sample(session, lambda: run(few), items=few)
    return {"seconds": Measured(at_many, before + after)}


def pending(session: Session) -> dict[str, Measured]:
    """Memory that a task takes, in all processes together, while no worker is free to run it."""
    number = session.size(100_000, 2_000)
    with session.open() as ray, tempfile.TemporaryDirectory() as directory:
        identity = ray.remote(work.identity)
        ray.get([identity.remote(index) for index in range(100)])

        def hold(folder: str, index: int) -> int:
            Path(folder, f"holding-{index}").touch()
            wait_until(Path(folder, "release").exists, "the release file", seconds=600.0)
            return index

        hold_remotely = ray.remote(hold)
        holders = [hold_remotely.remote(directory, index) for index in range(CPUS)]
        for index in range(CPUS):
            wait_until(Path(directory, f"holding-{index}").exists, f"holder {index} to start")
        before = memory_of_run()
        refs = [identity.remote(index) for index in range(number)]
        time.sleep(0.5)  # what a system still does in the background belongs to the cost
        after = memory_of_run()
        Path(directory, "release").touch()
        check(ray.get(holders), list(range(CPUS)))
        check(sum(ray.get(refs)), number * (number - 1) // 2)
    return {
        "uss": Measured([max(0, after.uss - before.uss) / number]),
    }


def idle_actors(session: Session) -> dict[str, Measured]:
    """Round trip of a task while 1,000 actors idle; the reference is the same before and after they live."""
    number = session.size(1_000, 10)
    with session.open() as ray:
        nothing = ray.remote(work.nothing)

        class Idle:
            def ready(self) -> int:
                return os.getpid()

        def calls() -> None:
            for _ in range(100):
                ray.get(nothing.remote())

        def timed() -> list[float]:
            return sample(session, calls, items=100, least=20)

        before = timed()
        alone = len(processes_of(os.environ[TOKEN]))
        idle = ray.remote(Idle)
        actors: list[Any] = [idle.remote() for _ in range(number)]
        check(len(set(ray.get([actor.ready.remote() for actor in actors], timeout=300))), number)
        crowded = timed()
        for actor in actors:
            ray.kill(actor)
        # A few more than before may live on: a pool may keep workers warm.
        wait_until(
            lambda: len(processes_of(os.environ[TOKEN])) < alone + number // 2, "the killed actors to be gone"
        )
        after = timed()
    return {"seconds": Measured(crowded, before + after)}
