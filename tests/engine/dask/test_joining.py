"""Joining a Dask cluster that runs already, and what happens when a part of it is gone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from tests.engine.dask.clusters import Cluster, cluster, free_port
from tests.support import wait_until


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, 2) as made:
        skate.init(made.address)
        wait_until(lambda: skate.cluster_resources().get("CPU") == 2, 20)
        yield made


@pytest.fixture(autouse=True)
def _no_session_is_left() -> Iterator[None]:
    yield
    skate.shutdown()


@skate.remote
def square(x: int) -> int:
    return x * x


@skate.remote
def parent() -> int:
    """The Dask worker whose process this is: the zygote's parent."""
    import psutil

    return int(psutil.Process(os.getppid()).ppid())


@skate.remote
class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def parent(self) -> int:
        import psutil

        return int(psutil.Process(os.getppid()).ppid())


def test_a_program_on_a_cluster(two_workers: Cluster) -> None:
    assert skate.get([square.remote(square.remote(i)) for i in range(20)]) == [i**4 for i in range(20)]
    assert len(skate.nodes()) == 2

    @skate.remote
    def tree(depth: int) -> int:
        return 1 if not depth else sum(skate.get([tree.remote(depth - 1), tree.remote(depth - 1)]))

    assert skate.get(tree.remote(3), timeout=30) == 8

    counters = [Counter.options(num_cpus=1, name=f"counter {i}").remote() for i in range(2)]
    assert skate.get([counter.add.remote() for counter in counters]) == [1, 1]
    assert skate.get([counters[0].add.remote() for _ in range(50)], timeout=30) == list(range(2, 52))
    places = skate.get([counter.parent.remote() for counter in counters])
    assert len(set(places)) == 2, "each worker has one CPU, and each actor holds one"

    @skate.remote(num_cpus=0)
    def numbers() -> Any:
        for i in range(5):
            yield skate.put(i)

    assert [skate.get(skate.get(ref)) for ref in numbers.remote()] == list(range(5))
    big = skate.put(bytes(10_000_000))
    assert skate.get(square.options(num_cpus=0).remote(3)) == 9
    assert len(skate.get(big)) == 10_000_000


def test_a_worker_killed_in_mid_run_changes_no_result(two_workers: Cluster, tmp_path: Path) -> None:
    killed = tmp_path / "killed"

    @skate.remote
    def square_around_it(x: int) -> int:
        if x >= 10:
            wait_until(killed.exists, 40)
        return x * x

    first = [square_around_it.remote(i) for i in range(60)]
    done, _ = skate.wait(first, num_returns=10, timeout=40)
    assert len(done) == 10
    two_workers.kill(two_workers.workers[0])
    killed.touch()
    second = [square.remote(ref) for ref in first]
    assert skate.get(second, timeout=40) == [i**4 for i in range(60)]


def test_a_task_without_retries_is_not_run_again(two_workers: Cluster) -> None:
    @skate.remote(max_retries=0)
    def ends_its_worker() -> None:
        import psutil

        os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
        threading.Event().wait(60)

    with pytest.raises(skate.exceptions.WorkerCrashedError):
        skate.get(ends_its_worker.remote(), timeout=40)


def test_actors_move_to_another_worker(two_workers: Cluster) -> None:
    mortal, reborn = Counter.remote(), Counter.options(max_restarts=1, max_task_retries=-1).remote()
    assert skate.get([mortal.add.remote(), reborn.add.remote()]) == [1, 1]
    place = skate.get(reborn.parent.remote())
    os.kill(place, signal.SIGKILL)
    assert skate.get(reborn.add.remote(), timeout=40) == 1
    assert skate.get(reborn.parent.remote()) != place


def test_a_placement_group_outlives_a_worker(two_workers: Cluster) -> None:
    group = skate.util.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert group.wait(40)
    inside = [
        skate.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, index) for index in (0, 1)
    ]
    places = skate.get([parent.options(scheduling_strategy=each).remote() for each in inside], timeout=40)
    assert sorted(places) == sorted(worker.pid for worker in two_workers.workers)
    gone = next(worker for worker in two_workers.workers if worker.pid == places[1])
    two_workers.kill(gone)
    where = skate.util.placement_group_table(group)["bundles_to_node_id"]
    wait_until(lambda: skate.util.placement_group_table(group)["state"] == "RESCHEDULING", 40)
    waiting = parent.options(scheduling_strategy=inside[1]).remote()
    newcomer = two_workers.add_worker()
    assert skate.get(waiting, timeout=60) == newcomer.pid
    row = skate.util.placement_group_table(group)
    assert row["state"] == "CREATED"
    assert row["bundles_to_node_id"][0] == where[0] and row["bundles_to_node_id"][1] != where[1]
    states = {node.state for node in skate.util.state.list_nodes()}
    assert states == {"ALIVE", "DEAD"}
    skate.util.remove_placement_group(group)
    wait_until(lambda: skate.available_resources().get("CPU") == 2, 40)


def test_a_worker_that_joins_later_takes_part(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as made:
        skate.init(made.address)
        ref = square.remote(3)
        assert skate.wait([ref], timeout=0.2) == ([], [ref])
        made.add_worker("--resources", "GPU=1")
        assert skate.get(ref, timeout=30) == 9
        assert skate.cluster_resources()["GPU"] == 1
        assert skate.get(square.options(num_gpus=1).remote(4)) == 16


def test_a_scheduler_that_goes_away_is_a_clear_error(two_workers: Cluster) -> None:
    @skate.remote
    def waits() -> None:
        threading.Event().wait(60)

    ref = waits.remote()
    assert skate.get(square.remote(2)) == 4
    two_workers.kill(two_workers.scheduler)
    with pytest.raises(skate.exceptions.RaySystemError, match="scheduler"):
        skate.get(ref, timeout=30)
    with pytest.raises(skate.exceptions.RaySystemError, match="scheduler"):
        skate.get(square.remote(3), timeout=30)
    with pytest.raises(skate.exceptions.RaySystemError, match="scheduler"):
        skate.get_actor("anybody")


def test_two_drivers_share_a_detached_actor(two_workers: Cluster, tmp_path: Path) -> None:
    from tests.support import run_python

    program = tmp_path / "other.py"
    program.write_text(
        f"import skate\nskate.init({two_workers.address!r}, namespace='shared')\n"
        "@skate.remote\nclass Kept:\n    def __init__(self): self.n = 0\n    def add(self): self.n += 1; return self.n\n"
        "kept = Kept.options(name='kept', lifetime='detached').remote()\n"
        "mortal = Kept.options(name='mortal').remote()\n"
        "assert skate.get([kept.add.remote(), mortal.add.remote()]) == [1, 1]\n"
    )
    finished = run_python(program)
    assert finished.returncode == 0, finished.stderr
    kept = skate.get_actor("kept", namespace="shared")
    assert skate.get(kept.add.remote()) == 2
    with pytest.raises(ValueError, match="mortal"):
        skate.get_actor("mortal", namespace="shared")
    skate.kill(kept)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skate.engine.dask.driver._JOIN", 0.5)
    with pytest.raises(ConnectionError, match="no Dask scheduler answered"):
        skate.init(f"dask://127.0.0.1:{free_port()}")
    assert not skate.is_initialized()


@pytest.mark.parametrize("address", ["dask://", "dask://host", "dask://host:port"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="dask://HOST:PORT"):
        skate.init(address)
