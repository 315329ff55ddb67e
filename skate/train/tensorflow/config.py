"""How TensorFlow's workers find one another: by a list of addresses in the environment variable TF_CONFIG."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skate.train._ports import reserve, reserved
from skate.train.backend import Backend, BackendConfig

__all__ = [
    "TensorflowConfig",
]


@dataclass
class TensorflowConfig(BackendConfig):
    """How TensorFlow's workers exchange gradients. There is nothing to choose."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What tells the workers of one another."""
        return _TensorflowBackend

    @property
    def train_func_context(self) -> Any:
        """The worker's port is there for TensorFlow to open."""
        return _ports_are_free


class _TensorflowBackend(Backend):
    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Reserve a port for each worker, and write the list into each one's environment."""
        alone = len({member.node_id for member in worker_group.members}) == 1
        addresses = [f"{host}:{port}" for host, port in worker_group.execute(reserve, alone)]
        worker_group.wait(
            [
                worker_group.execute_single_async(rank, _announce, addresses, rank)
                for rank in range(len(worker_group))
            ]
        )


@contextmanager
def _ports_are_free() -> Iterator[None]:
    """TensorFlow opens its port where the training function makes a strategy, and shares it with nobody."""
    reserved.release()
    yield


def _announce(addresses: list[str], rank: int) -> None:
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
    )
