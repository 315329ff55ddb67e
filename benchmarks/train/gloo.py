"""A training run that does next to nothing: what is measured is what a run costs beyond its training."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check
from benchmarks.session import CPUS

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["reduce"]

_WARM = 5


def _run(module: Any) -> float:
    train = importlib.import_module(f"{module.__name__}.train")
    torch_trainer = importlib.import_module(f"{module.__name__}.train.torch").TorchTrainer

    def loop() -> float:
        import torch
        import torch.distributed as dist

        value = torch.ones(1) * (train.get_context().get_world_rank() + 1)
        dist.all_reduce(value)
        train.report({"sum": value.item()})
        return float(value.item())

    directory = tempfile.mkdtemp(prefix="bench-train-")
    try:
        start = time.perf_counter()
        result = torch_trainer(
            loop,
            scaling_config=train.ScalingConfig(num_workers=CPUS),
            run_config=train.RunConfig(storage_path=directory),
        ).fit()
        taken = time.perf_counter() - start
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    check([result.return_value], [3.0])
    return taken


def reduce(session: Session) -> dict[str, Measured]:
    """The first run of a session, and later ones in a session whose processes have imported PyTorch."""
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    module = session.load()
    options = {"preload": ["torch"]} if session.system == "skate" else {}
    module.init(num_cpus=CPUS, **options)
    try:
        cold = _run(module)
        warm = [_run(module) for _ in range(session.size(_WARM, 1))]
    finally:
        module.shutdown()
    return {"cold": Measured([cold]), "warm": Measured(warm)}
