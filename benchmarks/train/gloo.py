"""A training run that does next to nothing: what is measured is what a run costs beyond its training."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check
from benchmarks.processes import memory_of_run
from benchmarks.session import CPUS

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["memory", "reduce"]

_WARM = 5


def _run(module: Any, weighs: bool = False) -> float:
    """Train once; returns the seconds it took, or the memory of all processes while the workers are alive."""
    train = importlib.import_module(f"{module.__name__}.train")
    torch_trainer = importlib.import_module(f"{module.__name__}.train.torch").TorchTrainer

    def loop() -> float:
        import torch
        import torch.distributed as dist

        value = torch.ones(1) * (train.get_context().get_world_rank() + 1)
        dist.all_reduce(value)
        train.report({"sum": value.item()})
        if weighs:
            held = memory_of_run().pss if train.get_context().get_world_rank() == 0 else 0
            dist.barrier()
            return float(held)
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
    if weighs:
        return float(result.return_value)
    check([result.return_value], [3.0])
    return taken


def _bare_worker(rank: int, store: str, results: Any) -> None:
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=CPUS)
    value = torch.ones(1) * (rank + 1)
    dist.all_reduce(value)
    results.put(float(value.item()))
    dist.destroy_process_group()


def _bare() -> float:
    """The same by two processes that multiprocessing spawns, from their start to their results."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="bench-train-") as directory:
        results = context.SimpleQueue()
        start = time.perf_counter()
        workers = [
            context.Process(target=_bare_worker, args=(rank, os.path.join(directory, "store"), results))
            for rank in range(CPUS)
        ]
        for worker in workers:
            worker.start()
        found = [results.get() for _ in workers]
        taken = time.perf_counter() - start
        for worker in workers:
            worker.join()
    check(found, [3.0] * CPUS)
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
    return {"cold": Measured([cold], [_bare()]), "warm": Measured(warm)}


def memory(session: Session) -> dict[str, Measured]:
    """The memory of a run's processes, the program's own included; pages that they share count once."""
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    module = session.load()
    module.init(num_cpus=CPUS, **({"preload": ["torch"]} if session.system == "skate" else {}))
    try:
        return {"pss": Measured([_run(module, weighs=True)])}
    finally:
        module.shutdown()
