"""Data-parallel training next to torchrun, and what goes with it: reading data, and a worker that is killed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check
from benchmarks.session import CPUS
from benchmarks.train import models

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["ingest", "recovery", "steps"]

_ROUNDS = 3


def _torchrun(kind: str, steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "found.json")
        launch = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={CPUS}")
        command = (sys.executable, *launch, "-m", "benchmarks.train.models", kind, str(steps), str(file))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:  # its launcher's last lines say nothing, those before them do
            raise RuntimeError(f"torchrun exited with code {done.returncode}: {done.stderr[-6000:]}")
        found: dict[str, Any] = json.loads(file.read_text())
    return found


def _fit(module: Any, loop: Any, **options: Any) -> Any:
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    train = importlib.import_module(f"{module.__name__}.train")
    trainer = importlib.import_module(f"{module.__name__}.train.torch").TorchTrainer
    failures = train.FailureConfig(max_failures=options.pop("max_failures", 0))
    with tempfile.TemporaryDirectory(prefix="bench-train-") as place:
        run = train.RunConfig(storage_path=place, failure_config=failures)
        return trainer(
            loop, scaling_config=train.ScalingConfig(num_workers=CPUS), run_config=run, **options
        ).fit()


def _init(session: Session) -> Any:
    module = session.load()
    module.init(num_cpus=CPUS, **({"preload": ["torch"]} if session.system == "skate" else {}))
    return module


def steps(session: Session) -> dict[str, Measured]:
    """The time of a step, in turns with torchrun; the losses must be torchrun's, step for step."""
    count = session.size(300, 40)
    ours: dict[str, list[float]] = {kind: [] for kind in models.KINDS}
    theirs: dict[str, list[float]] = {kind: [] for kind in models.KINDS}
    module = _init(session)
    try:
        for _ in range(session.size(_ROUNDS, 1)):
            for kind in models.KINDS:
                reference = _torchrun(kind, count)

                def loop(kind: str = kind) -> dict[str, Any]:
                    return models.train(kind, count)

                found = _fit(module, loop).return_value
                check(found["losses"], reference["losses"])
                ours[kind].append(found["step"])
                theirs[kind].append(reference["step"])
    finally:
        module.shutdown()
    return {kind: Measured(ours[kind], theirs[kind]) for kind in models.KINDS}


def ingest(session: Session) -> dict[str, Measured]:
    """An epoch over features of flights, in batches, by one worker of two; the reference is PyTorch's own loader."""
    rows = session.size(300_000, 20_000)
    features, labels = models.flights(rows)
    module = _init(session)
    try:
        columns = {f"x{at}": features[:, at] for at in range(features.shape[1])}
        import pandas as pd

        dataset = module.data.from_pandas(pd.DataFrame({**columns, "label": labels}))
        names = list(columns)

        def loop() -> tuple[int, float, float]:
            import torch
            from torch.utils.data import DataLoader, TensorDataset

            train = importlib.import_module(f"{module.__name__}.train")
            shard = train.get_dataset_shard("train")
            seen, taken = 0, 0.0
            for _ in range(2):  # the first starts what reads ahead
                begin, seen = time.perf_counter(), 0
                for batch in shard.iter_torch_batches(batch_size=1024):
                    seen += len(torch.stack([batch[name] for name in names], dim=1))
                taken = time.perf_counter() - begin
            mine = torch.zeros(seen, len(names)), torch.zeros(seen, dtype=torch.int64)
            begin = time.perf_counter()
            for batch in DataLoader(TensorDataset(*mine), batch_size=1024):
                len(batch[0])
            return seen, taken, time.perf_counter() - begin

        found = [
            _fit(module, loop, datasets={"train": dataset}).return_value
            for _ in range(session.size(_ROUNDS, 1))
        ]
        check([each[0] for each in found], [len(features) // CPUS] * len(found))
    finally:
        module.shutdown()
    return {"epoch": Measured([each[1] for each in found], [each[2] for each in found])}


def recovery(session: Session) -> dict[str, Measured]:
    """From the kill of a worker to the next step of training, PyTorch's import in the new workers included."""
    module = _init(session)
    taken = []
    try:
        for _ in range(session.size(_ROUNDS, 1)):
            with tempfile.TemporaryDirectory() as place:
                mark = os.path.join(place, "killed")

                def loop(mark: str = mark) -> float:
                    import torch
                    import torch.distributed as dist

                    value = torch.ones(1)
                    dist.all_reduce(value)
                    if os.path.exists(mark):
                        return time.time() - float(Path(mark).read_text())
                    if dist.get_rank() == 1:
                        Path(f"{mark}.new").write_text(str(time.time()))
                        os.rename(f"{mark}.new", mark)
                        os.kill(os.getpid(), 9)
                    dist.barrier()
                    raise AssertionError("the other worker is alive")

                taken.append(_fit(module, loop, max_failures=1).return_value)
    finally:
        module.shutdown()
    return {"again": Measured(taken)}
