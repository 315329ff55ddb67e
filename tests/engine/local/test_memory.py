"""The memory monitor's policy, with a memory that the test fills."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skate.engine.local.limits import memory_limits
from skate.engine.local.node.memory import Monitor, machine_memory, newest, process_memory
from skate.engine.local.node.pool import ACTOR, IDLE, LEASED, STARTING, Worker


def _worker(number: int, state: str = LEASED, retriable: bool = True, since: int = 0) -> Worker:
    worker = Worker(number, "", "m0")
    worker.state = state
    worker.retriable = retriable
    worker.since = since or number
    return worker


class Memory:
    """A machine's memory of 100 bytes."""

    def __init__(self, used: int) -> None:
        self.used = used

    def read(self) -> tuple[int, int]:
        return self.used, 100


_WORKERS = st.lists(st.tuples(st.sampled_from([LEASED, ACTOR, IDLE, STARTING]), st.booleans()), max_size=6)


@given(_WORKERS)
def test_what_can_be_run_again_goes_first_then_tasks_then_the_newest(kinds: list[tuple[str, bool]]) -> None:
    workers = [_worker(n, state, retriable) for n, (state, retriable) in enumerate(kinds, 1)]
    chosen = newest(workers)
    able = [worker for worker in workers if worker.state in (LEASED, ACTOR)]
    if chosen is None:
        assert not able
        return
    for other in able:
        assert chosen.retriable or not other.retriable
        if chosen.retriable == other.retriable:
            assert chosen.state == LEASED or other.state == ACTOR
            if chosen.state == other.state:
                assert chosen.since >= other.since


def test_nobody_goes_while_there_is_room() -> None:
    monitor = Monitor(Memory(95).read, 0.95, 1.0)
    assert monitor.look(0.0, {1: _worker(1)}) is None


def test_one_goes_at_a_time_until_there_is_room() -> None:
    memory = Memory(96)
    monitor = Monitor(memory.read, 0.95, 1.0)
    workers = {number: _worker(number) for number in (1, 2, 3)}
    victim = monitor.look(0.0, workers)
    assert victim is not None
    assert victim[0] == 3
    assert "96%" in victim[1]
    assert monitor.look(5.0, workers) is None, "its process is not gone yet"
    del workers[3]
    assert monitor.look(6.0, workers) == (2, victim[1])
    del workers[2]
    memory.used = 50
    assert monitor.look(7.0, workers) is None


def test_it_looks_once_a_period_or_never() -> None:
    memory = Memory(0)
    monitor = Monitor(memory.read, 0.95, 1.0)
    workers = {1: _worker(1)}
    assert monitor.look(10.0, workers) is None
    memory.used = 100
    assert monitor.look(10.5, workers) is None
    assert monitor.look(11.0, workers) is not None
    assert Monitor(memory.read, 0.95, 0.0).look(1e9, workers) is None


def test_settings_come_from_the_configuration_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_limits({}) == (0.95, 0.25)
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.5")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    assert memory_limits({}) == (0.5, 0.0)
    assert memory_limits({"memory_usage_threshold": 0.7, "memory_monitor_refresh_ms": 100}) == (0.7, 0.1)


@pytest.mark.parametrize(
    "system",
    [
        {"memory_usage_threshold": 1.5},
        {"memory_usage_threshold": "much"},
        {"memory_monitor_refresh_ms": -1},
    ],
)
def test_bad_settings(system: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(system))):
        memory_limits(system)


def test_what_the_system_tells() -> None:
    told = machine_memory()
    assert told is not None
    used, total = told
    assert 0 < used < total
    assert process_memory(os.getpid()) > 1_000_000
    assert process_memory(1 << 30) == 0


def test_nobody_goes_where_the_system_does_not_tell(tmp_path: Path) -> None:
    """As on macOS, which has no /proc."""
    nowhere = str(tmp_path / "meminfo")
    assert machine_memory(nowhere) is None
    monitor = Monitor(lambda: machine_memory(nowhere), 0.0, 1.0)
    assert monitor.look(0.0, {1: _worker(1)}) is None
    assert monitor.due == 1.0, "it looks again a period later"
