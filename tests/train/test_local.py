"""`num_workers=0`: the training function runs in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import skate
from skate import train
from skate.train import collective
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from tests.support import REPO

_HERE = train.ScalingConfig(num_workers=0)


def test_the_function_runs_here(tmp_path: Path) -> None:
    def function(config: dict[str, int]) -> int:
        context = train.get_context()
        assert (context.get_world_size(), context.get_world_rank(), context.get_experiment_name()) == (
            1,
            0,
            "here",
        )
        assert collective.broadcast_from_rank_zero(config) == config
        collective.barrier()
        train.report({"step": 1}, train.Checkpoint(str(tmp_path)))
        assert train.get_checkpoint() == train.Checkpoint(str(tmp_path))
        assert train.get_all_reported_checkpoints() == [], "nothing is kept"
        with pytest.raises(DeprecationWarning):
            context.get_trial_id()
        train.report({"step": 2})
        return os.getpid() + config["add"]

    trainer = DataParallelTrainer(
        function, train_loop_config={"add": 1}, scaling_config=_HERE, run_config=train.RunConfig(name="here")
    )
    result = trainer.fit()
    assert result.return_value == os.getpid() + 1
    assert result.metrics == {"step": 2} and result.checkpoint is None and result.path is None
    assert not skate.is_initialized()


def test_what_it_raises_is_raised() -> None:
    def function() -> None:
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        DataParallelTrainer(function, scaling_config=_HERE).fit()
    with pytest.raises(RuntimeError, match="cannot be used outside"):
        train.get_context()


def test_data_sets_are_read_whole() -> None:
    data = pytest.importorskip("skate.data")

    def function() -> int:
        return len(list(train.get_dataset_shard("train").iter_rows()))

    trainer = DataParallelTrainer(function, scaling_config=_HERE, datasets={"train": data.range(7)})
    assert trainer.fit().return_value == 7


_PROGRAM = """
import torch.distributed as dist
from skate import train
from skate.train import collective
from skate.train.torch import TorchTrainer

def function():
    rank = train.get_context().get_world_rank()
    assert dist.get_rank() == rank and dist.get_world_size() == train.get_context().get_world_size() == 2
    found = [None, None]
    dist.all_gather_object(found, [rank, collective.broadcast_from_rank_zero(rank)])
    return found

print(TorchTrainer(function, scaling_config=train.ScalingConfig(num_workers=0)).fit().return_value, flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_torchrun_starts_the_processes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(program),
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[[0, 0], [1, 0]]") == 2, done.stdout
