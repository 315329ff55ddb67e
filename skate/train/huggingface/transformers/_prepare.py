"""Letting a trainer of Transformers read data sets of `skate.data`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "prepare_trainer",
]


def prepare_trainer(trainer: Any) -> Any:
    """Let a `transformers.Trainer` take what `iter_torch_batches` of a data set gives as its `train_dataset` and `eval_dataset`.

    The batches are used as they come: `per_device_train_batch_size` has no meaning for them, and `max_steps` must say how
    long to train, for their number is not known beforehand.

    Args:
        trainer: The trainer.

    Returns:
        The same trainer.
    """
    make_train, make_eval = trainer.get_train_dataloader, trainer.get_eval_dataloader

    def get_train_dataloader() -> Any:
        if _is_batches(trainer.train_dataset):
            return _loader(trainer.train_dataset)
        return make_train()

    def get_eval_dataloader(eval_dataset: Any = None) -> Any:
        dataset = trainer.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = trainer.eval_dataset[dataset]
        if _is_batches(dataset):
            return _loader(dataset)
        return make_eval(eval_dataset)

    trainer.get_train_dataloader = get_train_dataloader
    trainer.get_eval_dataloader = get_eval_dataloader
    return trainer


def _is_batches(dataset: Any) -> bool:
    """Whether this is what a data set's iterator gives: it can be gone through, but has neither length nor places."""
    return (
        isinstance(dataset, Iterable)
        and not hasattr(dataset, "__getitem__")
        and type(dataset).__module__.startswith("skate.data")
    )


def _loader(batches: Iterable[Any]) -> Any:
    from torch.utils.data import DataLoader, IterableDataset

    class Batches(IterableDataset):  # type: ignore[misc]  # torch is not typed here
        def __iter__(self) -> Any:
            return iter(batches)

    return DataLoader(Batches(), batch_size=None)
