"""How much longer a step is while a checkpoint is copied in the background."""

from __future__ import annotations

import importlib
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check
from benchmarks.session import CPUS

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["stall"]

_EVERY = 20
_MEGABYTES = 64


def stall(session: Session) -> dict[str, Measured]:
    """The longest step of a run that reports a checkpoint of 64 MB now and then, less the usual one."""
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    module = session.load()
    rounds = session.size(3, 1)
    module.init(num_cpus=CPUS, **({"preload": ["torch"]} if session.system == "skate" else {}))
    place = tempfile.mkdtemp(prefix="bench-train-")

    def loop() -> list[float]:
        import torch
        import torch.distributed as dist

        train = importlib.import_module(f"{module.__name__}.train")
        torch.set_num_threads(1)
        weights = torch.randn(256, 256)
        taken = []
        for step in range(rounds * _EVERY):
            checkpoint = None
            if step % _EVERY == _EVERY // 2 and dist.get_rank() == 0:
                directory = Path(place, f"saved-{step}")
                directory.mkdir()
                (directory / "weights").write_bytes(os.urandom(1 << 20) * _MEGABYTES)
                checkpoint = train.Checkpoint(str(directory))
            dist.barrier()
            begin = time.perf_counter()
            for _ in range(10):
                weights @ weights
            dist.all_reduce(torch.ones(1))
            train.report(
                {"step": step},
                checkpoint=checkpoint,
                checkpoint_upload_mode=train.CheckpointUploadMode.ASYNC,
            )
            taken.append(time.perf_counter() - begin)
        return taken

    try:
        result: Any = _fit(module, loop, place)
        taken = result.return_value
        check([len(result.best_checkpoints)], [rounds])
    finally:
        module.shutdown()
        shutil.rmtree(place, ignore_errors=True)
    usual = statistics.median(taken)
    longest = [max(taken[at : at + _EVERY]) - usual for at in range(0, len(taken), _EVERY)]
    return {"stall": Measured(longest)}


def _fit(module: Any, loop: Any, place: str) -> Any:
    train = importlib.import_module(f"{module.__name__}.train")
    trainer = importlib.import_module(f"{module.__name__}.train.torch").TorchTrainer
    return trainer(
        loop,
        scaling_config=train.ScalingConfig(num_workers=CPUS),
        run_config=train.RunConfig(name="run", storage_path=place),
    ).fit()
