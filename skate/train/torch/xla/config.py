"""The process group of PyTorch on devices that the package torch_xla drives, such as AWS Trainium."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skate.train.torch.config import TorchConfig, _TorchBackend

if TYPE_CHECKING:
    from skate.train.backend import Backend, BackendConfig

__all__ = [
    "TorchXLAConfig",
]


@dataclass
class TorchXLAConfig(TorchConfig):
    """How PyTorch's process group is made over XLA's devices.

    Args:
        backend: As for `TorchConfig`; default: "xla".
        init_method: "env" or "tcp"; both mean the same here.
        timeout_s: Seconds after which an operation that not all workers have joined fails.
        neuron_parallel_compile: Whether the run only finds out which graphs there are to compile, for AWS Neuron.
    """

    neuron_parallel_compile: bool = False

    @property
    def backend_cls(self) -> type[Backend]:
        """What makes the group."""
        return _XLABackend


class _XLABackend(_TorchBackend):
    default_backend = "xla"

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Load the package, then make the process group."""
        assert isinstance(backend_config, TorchXLAConfig)
        worker_group.execute(_load, backend_config.neuron_parallel_compile)
        super().on_start(worker_group, backend_config)


def _load(only_finds_graphs: bool) -> None:
    if only_finds_graphs:
        os.environ["NEURON_EXTRACT_GRAPHS_ONLY"] = "1"
    try:
        importlib.import_module("torch_xla.distributed.xla_backend")  # makes PyTorch know the backend "xla"
    except ImportError as error:
        raise ImportError("TorchXLAConfig needs torch_xla on the workers: pip install torch_xla") from error
