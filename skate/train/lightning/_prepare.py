"""Checking that a trainer of Lightning fits the workers on which it runs."""

from __future__ import annotations

from typing import Any

from skate.train.lightning._environment import RayLightningEnvironment as _RayLightningEnvironment
from skate.train.lightning._library import need as _need
from skate.train.lightning._strategies import RayDDPStrategy as _RayDDPStrategy
from skate.train.lightning._strategies import RayDeepSpeedStrategy as _RayDeepSpeedStrategy
from skate.train.lightning._strategies import RayFSDPStrategy as _RayFSDPStrategy

__all__ = [
    "prepare_trainer",
]


def prepare_trainer(trainer: Any) -> Any:
    """Check that a `lightning.pytorch.Trainer` trains on the workers, instead of starting processes of its own.

    Args:
        trainer: The trainer.

    Returns:
        The same trainer.

    Raises:
        ImportError: Lightning is not installed.
        RuntimeError: its strategy or its environment is not one of this module.
    """
    _need("prepare_trainer")
    strategies = (_RayDDPStrategy, _RayFSDPStrategy, _RayDeepSpeedStrategy)
    if not isinstance(trainer.strategy, strategies):
        raise RuntimeError(
            f"Invalid strategy class: {type(trainer.strategy)}. Pass one of "
            f"{', '.join(each.__name__ for each in strategies)} as Trainer(strategy=…): others start processes of their own."
        )
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if environment is not None and not isinstance(environment, _RayLightningEnvironment):
        raise RuntimeError(
            f"Invalid cluster environment plugin: {type(environment)}. Pass Trainer(plugins=[RayLightningEnvironment()]): "
            "others do not know the workers' ranks."
        )
    return trainer
