"""Runs whose hosts go away."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import train
from skate.cluster_utils import Cluster
from skate.exceptions import ActorDiedError, ActorDiedErrorContext
from skate.train._run.attempt import WorkersFailed
from skate.train._run.controller import Controller, RunContext
from skate.train.backend import BackendConfig
from skate.train.collective import barrier
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from tests.support import wait_until


def _loop(config: dict[str, str]) -> dict[str, Any]:
    context = train.get_context()
    checkpoint = train.get_checkpoint()
    begin = 0
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            begin = int(Path(directory, "step.txt").read_text()) + 1
    for step in range(begin, 3):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "step.txt").write_text(str(step))
            rank0 = context.get_world_rank() == 0
            train.report({"step": step}, checkpoint=train.Checkpoint(directory) if rank0 else None)
        if step == 1 and context.get_world_size() == 2:
            Path(config["mark"]).touch()
            barrier()  # one comes, the other's host is taken away meanwhile
            threading.Event().wait(60)
    return {
        "begin": begin,
        "size": context.get_world_size(),
        "node": skate.get_runtime_context().get_node_id(),
    }


def test_a_run_goes_on_without_a_host_that_is_lost(tmp_path: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    skate.init(address=cluster.address)
    mark = tmp_path / "mark"

    def take_away() -> None:
        wait_until(mark.exists, timeout=60)
        cluster.remove_node(second)

    taking = threading.Thread(target=take_away)
    taking.start()
    try:
        result = DataParallelTrainer(
            _loop,
            train_loop_config={"mark": str(mark)},
            scaling_config=train.ScalingConfig(num_workers=(1, 2), placement_strategy="SPREAD"),
            run_config=train.RunConfig(
                name="run", storage_path=str(tmp_path), failure_config=train.FailureConfig(max_failures=1)
            ),
        ).fit()
        assert cluster.head_node is not None
        assert result.return_value == {"begin": 2, "size": 1, "node": cluster.head_node.node_id}
    finally:
        taking.join()
        cluster.shutdown()


class _Losing(Controller):
    """Loses its host at each attempt but the last."""

    def __init__(self, failures: train.FailureConfig, place: Path, times: int) -> None:
        config = train.RunConfig(name="run", storage_path=str(place), failure_config=failures)
        scaling = train.ScalingConfig()
        context = RunContext(config, None, scaling, BackendConfig(), {}, train.DataConfig())
        super().__init__(context, lambda: None, config.storage_context)
        self.left = times

    def _attempt(self) -> None:
        if self.left:
            self.left -= 1
            error = ActorDiedError(ActorDiedErrorContext("its host was taken away", preempted=True))
            raise WorkersFailed({0: (error, str(error))})


def test_a_host_that_was_taken_away_counts_apart(tmp_path: Path) -> None:
    _Losing(train.FailureConfig(), tmp_path, times=3).run()
    with pytest.raises(train.WorkerGroupError, match="taken away"):
        _Losing(train.FailureConfig(max_failures=5, max_preemption_failures=1), tmp_path, times=2).run()
    _Losing(train.FailureConfig(max_preemption_failures=2), tmp_path, times=2).run()
