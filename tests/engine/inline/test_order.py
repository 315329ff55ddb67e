"""The order in which ready work runs: that of submission, or the seed's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import skate


def trail(start: Callable[..., Any], seed: int | None) -> list[Any]:
    """What a program of tasks and two actors did, in order."""
    start(seed=seed)

    @skate.remote(num_cpus=0)
    class Log:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def note(self, item: Any) -> None:
            self.seen.append(item)

        def read(self) -> list[Any]:
            return self.seen

    log = Log.remote()

    @skate.remote(num_cpus=0)
    def task(number: int) -> None:
        for step in range(2):
            skate.get(log.note.remote((number, step)))

    skate.get([task.remote(number) for number in range(6)])
    seen: list[Any] = skate.get(log.read.remote())
    skate.shutdown()
    return seen


def test_without_a_seed_work_runs_in_the_order_submitted(start: Callable[..., Any]) -> None:
    seen = trail(start, None)
    assert seen == [(number, step) for step in range(2) for number in range(6)]


def test_a_seed_gives_the_same_order_every_time(start: Callable[..., Any]) -> None:
    assert trail(start, 7) == trail(start, 7)


def test_seeds_explore_other_orders(start: Callable[..., Any]) -> None:
    orders = {tuple(trail(start, seed)) for seed in range(8)}
    assert len(orders) > 4


def test_whatever_the_seed_each_task_keeps_its_own_order(start: Callable[..., Any]) -> None:
    for seed in range(8):
        seen = trail(start, seed)
        assert sorted(seen) == [(number, step) for number in range(6) for step in range(2)]
        for number in range(6):
            assert [step for who, step in seen if who == number] == [0, 1]


def test_tasks_run_when_somebody_waits_and_not_before(start: Callable[..., Any], tmp_path: Any) -> None:
    start()
    mark = tmp_path / "ran"

    @skate.remote
    def touch() -> None:
        mark.touch()

    ref = touch.remote()
    assert not mark.exists()
    skate.get(ref)
    assert mark.exists()


def test_polling_makes_progress(start: Callable[..., Any]) -> None:
    start()

    @skate.remote
    def step(x: int) -> int:
        return x + 1

    ref = step.remote(step.remote(step.remote(0)))
    polls = 0
    while not skate.wait([ref], timeout=0)[0]:
        polls += 1
        assert polls < 20, "each look runs something"
    assert skate.get(ref) == 3
