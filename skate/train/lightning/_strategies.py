"""Lightning's strategies, on the workers of a trainer: the process group exists, and each worker knows its device."""

from __future__ import annotations

from typing import Any

from skate.train.lightning._library import base as _base
from skate.train.lightning._library import need as _need
from skate.train.torch.train_loop_utils import get_device as _get_device

__all__ = [
    "RayDDPStrategy",
    "RayDeepSpeedStrategy",
    "RayFSDPStrategy",
]


class _OnWorkers:
    """What the three have in common. It comes before Lightning's class, whose own answers assume that it starts processes."""

    world_size: int
    global_rank: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _need(type(self).__name__)
        super().__init__(*args, **kwargs)

    @property
    def root_device(self) -> Any:
        """The device of this worker."""
        return _get_device()

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """This worker's part of the samples."""
        return {"num_replicas": self.world_size, "rank": self.global_rank}


class RayDDPStrategy(_OnWorkers, _base("strategies", "DDPStrategy")):  # type: ignore[misc]
    """Lightning's `DDPStrategy` on a trainer's workers: `Trainer(strategy=RayDDPStrategy())`.

    Raises:
        ImportError: Lightning is not installed.
    """


class RayFSDPStrategy(_OnWorkers, _base("strategies", "FSDPStrategy")):  # type: ignore[misc]
    """Lightning's `FSDPStrategy` on a trainer's workers, for models that do not fit on one GPU.

    Raises:
        ImportError: Lightning is not installed.
    """

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole model's weights, gathered in the memory of rank 0; empty on the others."""
        from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType

        options = FullStateDictConfig(offload_to_cpu=True, rank0_only=True)
        with FullyShardedDataParallel.state_dict_type(self.model, StateDictType.FULL_STATE_DICT, options):
            state: dict[str, Any] = self.model.state_dict()
        prefix = "_forward_module."
        return {name.removeprefix(prefix): value for name, value in state.items()}


class RayDeepSpeedStrategy(_OnWorkers, _base("strategies", "DeepSpeedStrategy")):  # type: ignore[misc]
    """Lightning's `DeepSpeedStrategy` on a trainer's workers; it needs DeepSpeed too: `pip install deepspeed`.

    Raises:
        ImportError: Lightning is not installed.
    """
