"""Trainers of boosted trees of the first generation: with a training function, or with parameters and a label alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from skate.air.constants import TRAIN_DATASET_KEY
from skate.train._functions import get_checkpoint, get_dataset_shard
from skate.train._generation import warn_of_migration
from skate.train.data_parallel_trainer import DataParallelTrainer

if TYPE_CHECKING:
    from skate.train.backend import BackendConfig

__all__ = ["LegacyBoostingTrainer", "frames_of", "model_so_far"]


class LegacyBoostingTrainer(DataParallelTrainer):
    """Makes the training function of what programs of the first generation pass instead of one.

    Args:
        train_loop_per_worker: The training function; None: one is made.
        backend_config: How the workers find one another.
        label_column: The column that is learnt; the others are features.
        params: The library's parameters.
        num_boost_round: How many rounds the model has in the end.
        train_kwargs: Further arguments of the library's `train`.
        **options: What `DataParallelTrainer` takes.

    Raises:
        ValueError: neither a training function nor what is needed for one.
    """

    _handles_checkpoints = True
    _callback: Callable[..., Any]
    _learn: Callable[..., None]

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any] | None,
        *,
        backend_config: BackendConfig,
        label_column: str | None,
        params: dict[str, Any] | None,
        num_boost_round: int | None,
        train_kwargs: dict[str, Any],
        **options: Any,
    ) -> None:
        if train_loop_per_worker is None:
            warn_of_migration(
                f"Passing `params`, `num_boost_round`, `label_column`, etc. to `{type(self).__name__}` is deprecated: pass a "
                "`train_loop_per_worker` that calls the library."
            )
            train_loop_per_worker = self._made(
                options.get("datasets") or {},
                label_column,
                num_boost_round or 10,
                options.get("run_config"),
                train_kwargs,
            )
            options["train_loop_config"] = params or {}
        elif train_kwargs:
            warn_of_migration(
                f"{sorted(train_kwargs)} given to `{type(self).__name__}` are of no effect: pass them to the library in "
                "`train_loop_per_worker`."
            )
        super().__init__(train_loop_per_worker, backend_config=backend_config, **options)

    def _made(
        self,
        datasets: Mapping[str, Any],
        label_column: str | None,
        rounds: int,
        run_config: Any,
        train_kwargs: dict[str, Any],
    ) -> Callable[[dict[str, Any]], None]:
        name = type(self).__name__
        if TRAIN_DATASET_KEY not in datasets:
            raise ValueError(
                f"`datasets` must be provided for the {name} API if `train_loop_per_worker` is not provided. This dict must "
                f"contain the training dataset under the key: '{TRAIN_DATASET_KEY}'. Got keys: {list(datasets)}"
            )
        if not label_column:
            raise ValueError(
                f"`label_column` must be provided for the {name} API if `train_loop_per_worker` is not provided. This is the "
                "column name of the label in the dataset."
            )
        saving: dict[str, Any] = {}
        if run_config is not None and run_config.checkpoint_config is not None:
            kept = run_config.checkpoint_config
            saving["frequency"] = kept.checkpoint_frequency
            saving["checkpoint_at_end"] = kept.checkpoint_at_end is None or kept.checkpoint_at_end
        callbacks = list(train_kwargs.get("callbacks") or [])
        callback = type(self)._callback
        if not any(isinstance(each, callback) for each in callbacks):  # type: ignore[arg-type]  # it is a class
            callbacks.append(callback(**saving))
        return functools.partial(
            type(self)._learn,
            label_column=label_column,
            rounds=rounds,
            names=tuple(datasets),
            train_kwargs={**train_kwargs, "callbacks": callbacks},
        )


def frames_of(names: tuple[str, ...], label_column: str) -> dict[str, tuple[Any, Any]]:
    """This worker's part of each data set, as features and labels; that which is trained on first.

    Args:
        names: The data sets' names.
        label_column: The column of the labels.
    """
    ordered = [TRAIN_DATASET_KEY, *(name for name in names if name != TRAIN_DATASET_KEY)]
    frames = {name: get_dataset_shard(name).materialize().to_pandas() for name in ordered}
    return {name: (frame.drop(label_column, axis=1), frame[label_column]) for name, frame in frames.items()}


def model_so_far(get_model: Callable[..., Any], rounds: Callable[[Any], int]) -> tuple[Any, int]:
    """The model of the checkpoint to go on from, and how many rounds it has.

    Args:
        get_model: Reads a model from a checkpoint.
        rounds: Counts a model's rounds.
    """
    checkpoint = get_checkpoint()
    if checkpoint is None:
        return None, 0
    model = get_model(checkpoint)
    return model, rounds(model)
