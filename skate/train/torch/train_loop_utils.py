"""What a training loop of PyTorch calls to become one of several."""

from __future__ import annotations

import functools
import logging
import os
import random
from collections.abc import Iterator
from typing import Any, NoReturn

from skate.train._run.session import present_worker

__all__ = [
    "accelerate",
    "backward",
    "enable_reproducibility",
    "get_device",
    "get_devices",
    "prepare_data_loader",
    "prepare_model",
    "prepare_optimizer",
]

_logger = logging.getLogger(__name__)


def get_devices() -> list[Any]:
    """The devices of this worker: its GPUs, or the CPU.

    Raises:
        RuntimeError: called outside of a training function.
    """
    import torch

    import skate

    session = present_worker("get_devices")
    if not torch.cuda.is_available():
        return [torch.device("cpu")]
    mine = [str(gpu) for gpu in skate.get_runtime_context().get_accelerator_ids().get("GPU", [])]
    if not mine:
        return [torch.device("cpu")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if not visible:
        return [torch.device(f"cuda:{session.local_rank}")]
    seen = visible.split(",")
    return [torch.device(f"cuda:{seen.index(gpu)}") for gpu in mine]


def get_device() -> Any:
    """The first device of this worker.

    Raises:
        RuntimeError: called outside of a training function.
    """
    present_worker("get_device")
    return get_devices()[0]


def prepare_model(
    model: Any,
    move_to_device: Any = True,
    parallel_strategy: str | None = "ddp",
    parallel_strategy_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Move a model to this worker's device, and keep it equal to the other workers'.

    Args:
        model: The model.
        move_to_device: Whether it is moved to `get_device()`; or the device.
        parallel_strategy: "ddp" gives `DistributedDataParallel`, "fsdp" gives `FullyShardedDataParallel`; None leaves it.
        parallel_strategy_kwargs: Arguments of that class.

    Returns:
        The model, wrapped if there are other workers.

    Raises:
        ValueError: the strategy is not known.
        RuntimeError: called outside of a training function, or FSDP without GPUs.
    """
    import torch

    session = present_worker("prepare_model")
    if parallel_strategy not in ("ddp", "fsdp", None):
        raise ValueError(f'parallel_strategy={parallel_strategy!r} is not known: use "ddp", "fsdp" or None.')
    device = move_to_device if isinstance(move_to_device, torch.device) else get_device()
    if move_to_device:
        model = model.to(device)
    if parallel_strategy is None or session.world_size == 1:
        return model
    options = dict(parallel_strategy_kwargs or {})
    if parallel_strategy == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        if device.type != "cpu":
            options = {"device_ids": [device], "output_device": device, **options}
        return DistributedDataParallel(model, **options)
    if not torch.cuda.is_available():
        raise RuntimeError("FSDP is only available with GPU-enabled workers: use_gpu=True in ScalingConfig.")
    from torch.distributed.fsdp import FullyShardedDataParallel

    return FullyShardedDataParallel(model, **options)


def prepare_data_loader(
    data_loader: Any, add_dist_sampler: bool = True, move_to_device: bool = True, auto_transfer: bool = True
) -> Any:
    """Give each worker its part of the samples, on its device.

    Args:
        data_loader: A `torch.utils.data.DataLoader`. If it shuffles, call `loader.sampler.set_epoch(epoch)` at the
            start of each epoch, so that the order is another one.
        add_dist_sampler: Whether it gets a `DistributedSampler`, if there are other workers and it has none.
        move_to_device: Whether batches are moved to `get_device()`.
        auto_transfer: Whether, on a GPU, the next batch is copied while this one is worked on.

    Returns:
        A data loader.

    Raises:
        RuntimeError: called outside of a training function.
    """
    from torch.utils.data import DistributedSampler, IterableDataset, SequentialSampler

    session = present_worker("prepare_data_loader")
    loader = data_loader
    if (
        add_dist_sampler
        and session.world_size > 1
        and not isinstance(loader.sampler, DistributedSampler)
        and not isinstance(loader.dataset, IterableDataset)
    ):
        shuffle = not isinstance(loader.sampler, SequentialSampler)
        loader = _with_sampler(
            loader,
            DistributedSampler(
                loader.dataset, num_replicas=session.world_size, rank=session.world_rank, shuffle=shuffle
            ),
        )
    return _on_device()(loader, get_device(), auto_transfer) if move_to_device else loader


def _with_sampler(loader: Any, sampler: Any) -> Any:
    from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

    if not isinstance(loader.sampler, (RandomSampler, SequentialSampler)):
        _logger.warning(
            "prepare_data_loader: a DistributedSampler takes the place of %s; add_dist_sampler=False leaves it.",
            type(loader.sampler).__name__,
        )
    options: dict[str, Any] = {
        "batch_size": loader.batch_size,
        "num_workers": loader.num_workers,
        "collate_fn": loader.collate_fn,
        "pin_memory": loader.pin_memory,
        "drop_last": loader.drop_last,
        "timeout": loader.timeout,
        "worker_init_fn": loader.worker_init_fn,
        "generator": loader.generator,
        "multiprocessing_context": loader.multiprocessing_context,
        "persistent_workers": loader.persistent_workers,
        "prefetch_factor": loader.prefetch_factor,
    }
    return DataLoader(loader.dataset, sampler=sampler, shuffle=False, **options)


@functools.cache
def _on_device() -> Any:
    """The class of data loaders whose batches come on a device: PyTorch's own, for libraries that ask for one."""
    from torch.utils.data import DataLoader

    return type("OnDevice", (_OnDevice, DataLoader), {"__module__": __name__})


class _OnDevice:
    """What such a data loader does."""

    def __init__(self, loader: Any, device: Any, ahead: bool) -> None:
        vars(self).update(vars(loader))
        self._loader = loader
        self._device = device
        self._ahead = ahead and device.type == "cuda"

    def __iter__(self) -> Iterator[Any]:
        if not self._ahead:
            for batch in self._loader:
                yield self._moved(batch)
            return
        waiting: list[Any] = []
        for batch in self._loader:
            waiting.append(self._moved(batch))
            if len(waiting) == 2:
                yield waiting.pop(0)
        yield from waiting

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._loader, name)

    def _moved(self, item: Any) -> Any:
        if isinstance(item, dict):
            return {key: self._moved(value) for key, value in item.items()}
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            return type(item)(*(self._moved(value) for value in item))
        if isinstance(item, (tuple, list)):
            return type(item)(self._moved(value) for value in item)
        return item.to(self._device, non_blocking=self._ahead) if hasattr(item, "to") else item


def enable_reproducibility(seed: int = 0) -> None:
    """Make runs give the same numbers each time: seeds for Python, NumPy and PyTorch, and deterministic algorithms.

    Args:
        seed: The seed, of every worker alike.
    """
    import numpy as np
    import torch

    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"


def _gone(name: str, instead: str) -> NoReturn:
    raise DeprecationWarning(
        "The `accelerate`, `backward`, and `prepare_optimizer` utility methods in the `ray.train.torch` module are deprecated: "
        f"instead of `{name}`, {instead}"
    )


def accelerate(amp: bool = False) -> None:
    """No longer there.

    Raises:
        DeprecationWarning: always.
    """
    _gone("accelerate", "use `torch.amp`, or the library Accelerate, in the training loop.")


def backward(tensor: Any) -> None:
    """No longer there.

    Raises:
        DeprecationWarning: always.
    """
    _gone("backward", "call `loss.backward()`, with `torch.amp.GradScaler` if you use mixed precision.")


def prepare_optimizer(optimizer: Any) -> Any:
    """No longer there.

    Raises:
        DeprecationWarning: always.
    """
    _gone("prepare_optimizer", "use the optimizer as it is.")
