"""Runs that are told of hosts before these are taken away."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import train
from skate.cluster_utils import Cluster, Node
from skate.train._run.attempt import Attempt
from skate.train._run.controller import Controller, RunContext
from skate.train._run.group import NoRoom
from skate.train._run.preemption import PreemptionWatch, failure_domains, without
from skate.train.backend import BackendConfig
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from skate.util.drain import drain_node, draining_nodes
from tests.leaks import guard
from tests.support import wait_until


def test_the_earliest_time_counts_and_what_is_known_stays() -> None:
    watch = PreemptionWatch({"a": (0,), "b": (1,)}, now=0.0, grace_s=5.0)
    assert not watch.look({"elsewhere": 1}, now=1.0, wall=100.0)
    assert watch.info is None and watch.deadline is None
    assert watch.look({"b": 0}, now=2.0, wall=101.0)
    assert watch.info == train.PreemptionInfo(None, {"b": [1]}) and watch.deadline == 2.0 + 120.0 + 5.0
    assert not watch.look({"b": 0}, now=3.0, wall=102.0)
    assert watch.look({"a": 110_000}, now=4.0, wall=103.0), "b is gone"
    assert watch.info == train.PreemptionInfo(110_000, {"a": [0], "b": [1]})
    assert watch.info.preempted_node_ids == ["a", "b"] and watch.info.preempted_ranks == [0, 1]
    assert watch.deadline == 4.0 + 7.0 + 5.0
    assert watch.is_hit(1) and not watch.is_hit(2)


def test_what_is_lost_before_its_time_is_not_waited_for_until_then() -> None:
    watch = PreemptionWatch({"a": (0,)}, now=0.0, grace_s=5.0)
    assert watch.look({"a": 10_000_000}, now=1.0, wall=0.0) and watch.deadline == 1.0 + 10_000 + 5.0
    watch.gone(now=2.0)
    watch.gone(now=3.0)
    assert watch.deadline == 2.0 + 120.0 + 5.0


def test_a_dead_worker_of_such_a_host_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_ref: Any) -> Any:
        raise skate.exceptions.RayActorError

    monkeypatch.setattr(skate, "get", lost)
    monkeypatch.setattr("skate.train._run.attempt.draining_nodes", lambda **_options: {})
    watch = PreemptionWatch({"a": (0,), "b": (1,)}, now=0.0)
    watch.look({"b": 10**15}, now=0.0, wall=0.0)
    far = watch.deadline
    assert far is not None
    anything: Any = [None, None]
    attempt = Attempt(anything, anything, anything, anything, preemption=watch)
    attempt._hear(0, None)
    assert watch.deadline == far, "its host stays"
    attempt._hear(1, None)
    assert watch.deadline < far


def test_a_watch_that_is_off_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    watch = PreemptionWatch({"a": (0,)}, now=0.0)
    assert not watch.look({"a": 1000}, now=1.0, wall=0.0)
    assert (watch.next_look, watch.deadline, watch.info) == (float("inf"), None, None)


def test_hosts_of_a_slice_go_together() -> None:
    labels = {"a": {"ray.io/tpu-slice-name": "s"}, "b": {"ray.io/tpu-slice-name": "s"}, "c": {}}
    assert failure_domains(["a", "b", "c", "c"], labels) == {"a": (0, 1), "b": (0, 1), "c": (2, 3)}


def test_workers_are_kept_off_hosts() -> None:
    assert without(None, [], 2) is None
    assert without({"zone": "x"}, [], 2) == [{"zone": "x"}] * 2
    assert without([{"zone": "x"}, {}], ["b", "a"], 2) == [
        {"zone": "x", "ray.io/node-id": "!in(a,b)"},
        {"ray.io/node-id": "!in(a,b)"},
    ]
    with pytest.raises(ValueError, match="of them b will be taken away"):
        without({"ray.io/node-id": "b"}, ["b"], 1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with guard.window():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "labels": {"seat": "1"}})
        skate.init(address=cluster.address)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def second(cluster: Cluster) -> Iterator[Node]:
    node = cluster.add_node(num_cpus=1, labels={"seat": "2"})
    yield node
    if node.alive:
        cluster.remove_node(node)


def test_what_is_no_notice_is_refused(second: Node) -> None:
    with pytest.raises(ValueError, match="is no node of this session that is alive"):
        drain_node("ab" * 28)
    with pytest.raises(ValueError, match="reason='rain' is none of DRAIN_NODE_REASON_IDLE_TERMINATION"):
        drain_node(second.node_id, reason="rain")
    with pytest.raises(ValueError, match="deadline_s=-1 is over"):
        drain_node(second.node_id, deadline_s=-1)
    assert draining_nodes() == {}


def test_what_a_draining_host_gives_to_others_is_not_missed_twice(
    cluster: Cluster, second: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def group(size: int, *_args: Any, patience: float | None, **_options: Any) -> None:
        sizes.append(size)
        if patience is not None:
            raise NoRoom

    monkeypatch.setattr("skate.train._run.controller.WorkerGroup", group)
    config = train.RunConfig(name="run", storage_path=str(tmp_path))
    scaling = train.ScalingConfig(num_workers=(1, 2), resources_per_worker={"CPU": 0.5})
    context = RunContext(config, None, scaling, BackendConfig(), {}, train.DataConfig())
    controller = Controller(context, lambda: None, config.storage_context)
    controller._going = [second.node_id]
    holder = skate.remote(_Holder).options(num_cpus=1, label_selector={"seat": "2"}).remote()
    assert skate.get(holder.here.remote()) == second.node_id
    wait_until(lambda: skate.available_resources().get("CPU") == 1)
    controller._group()
    assert sizes == [2, 2], "the host that stays has room for both"
    skate.kill(holder)


class _Holder:
    def here(self) -> str:
        return _here()


def _loop(config: dict[str, Any]) -> dict[str, Any]:
    checkpoint = train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            told = Path(directory, "told.txt").read_text()
        return {"told": told, "size": train.get_context().get_world_size(), "node": _here()}
    if train.get_context().get_world_size() == 1:
        return {"told": "too late", "size": 1, "node": _here()}
    rank = train.get_context().get_world_rank()
    Path(config["place"], f"rank{rank}").touch()
    while (info := train.get_preemption_info()) is None:
        threading.Event().wait(0.01)
    if config["leaves"] and rank in info.preempted_ranks:
        Path(config["place"], "told").touch()
        threading.Event().wait(60)  # its host is taken away meanwhile
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "told.txt").write_text(",".join(map(str, info.preempted_ranks)))
        train.report({}, train.Checkpoint(directory) if rank == 0 else None)
    Path(config["place"], "told").touch()
    if config["ends"]:
        return {"told": "in time"}
    threading.Event().wait(60)
    raise AssertionError("the host was not taken away")


def _here() -> str:
    return skate.get_runtime_context().get_node_id()


def _fit(
    cluster: Cluster,
    second: Node,
    place: Path,
    deadline_s: float | None,
    takes: bool,
    scaling: train.ScalingConfig | None = None,
    **options: Any,
) -> Any:
    config = {"place": str(place), "ends": False, "leaves": False, **options.pop("loop", {})}

    def take_away() -> None:
        wait_until((place / "rank1").exists, timeout=60)
        drain_node(second.node_id, deadline_s)
        if takes:
            wait_until((place / "told").exists, timeout=60)
            cluster.remove_node(second)

    taking = threading.Thread(target=take_away)
    taking.start()
    try:
        return DataParallelTrainer(
            _loop,
            train_loop_config=config,
            scaling_config=scaling or train.ScalingConfig(num_workers=(1, 2), placement_strategy="SPREAD"),
            run_config=train.RunConfig(
                name="run", storage_path=str(place), failure_config=train.FailureConfig(**options)
            ),
        ).fit()
    finally:
        taking.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.05")


@pytest.mark.usefixtures("quick")
def test_a_run_that_is_told_saves_and_goes_on_elsewhere(
    cluster: Cluster, second: Node, tmp_path: Path
) -> None:
    assert cluster.head_node is not None
    result = _fit(cluster, second, tmp_path, None, takes=True)
    assert result.return_value["told"] in ("0", "1"), "the ranks of one host"
    assert result.return_value["size"] == 1 and result.return_value["node"] == cluster.head_node.node_id


@pytest.mark.usefixtures("quick")
def test_when_the_time_has_come_the_workers_start_elsewhere(
    cluster: Cluster, second: Node, tmp_path: Path
) -> None:
    assert cluster.head_node is not None
    result = _fit(cluster, second, tmp_path, 2, takes=False)
    assert result.return_value["node"] == cluster.head_node.node_id, "the other is there, and not used"
    assert second.node_id in draining_nodes()


@pytest.mark.usefixtures("quick")
def test_a_run_that_returns_before_has_ended_well(cluster: Cluster, second: Node, tmp_path: Path) -> None:
    result = _fit(cluster, second, tmp_path, 60, takes=False, loop={"ends": True})
    assert result.return_value == {"told": "in time"}


@pytest.mark.usefixtures("quick")
def test_how_often_hosts_may_be_taken_away(cluster: Cluster, second: Node, tmp_path: Path) -> None:
    with pytest.raises(train.PreemptionError, match="drain_timed_out=True") as caught:
        _fit(cluster, second, tmp_path, 1, takes=False, max_preemption_failures=0, max_failures=5)
    assert caught.value.preemption_info.preempted_node_ids == [second.node_id]


@pytest.mark.usefixtures("quick")
def test_the_others_can_save_without_a_worker_that_is_gone(
    cluster: Cluster, second: Node, tmp_path: Path
) -> None:
    with pytest.raises(train.PreemptionError):
        _fit(
            cluster,
            second,
            tmp_path,
            None,
            takes=True,
            scaling=train.ScalingConfig(num_workers=2, label_selector=[{"seat": "1"}, {"seat": "2"}]),
            loop={"leaves": True, "ends": True},
            relax_collectives_on_preemption=True,
            max_preemption_failures=0,
        )
    result = train.Result.from_path(tmp_path / "run")
    assert result.checkpoint is not None and Path(result.checkpoint.path, "told.txt").read_text() == "1"
