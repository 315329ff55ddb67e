"""A trainer of the first generation as what a trial of Tune runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from skate.air.config import ScalingConfig
from skate.air.session import present
from skate.tune.trainable.function_trainable import FunctionTrainable
from skate.tune.trainable.util import with_parameters
from skate.tune.utils.dictionaries import deep_update

if TYPE_CHECKING:
    from skate.train.base_trainer import BaseTrainer
    from skate.tune.execution.placement_groups import PlacementGroupFactory

__all__ = ["trainable_of"]

_AS_GIVEN = ("run_config", "datasets")
"""Arguments that no search replaces in part."""


def trainable_of(
    trainer: type[BaseTrainer],
    given: Mapping[str, Any],
    scaling_config: ScalingConfig,
    metadata: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> type[FunctionTrainable]:
    """A class that Tune runs.

    Args:
        trainer: The class that is made in the process of the trial.
        given: What it is called with; a trial's configuration replaces arguments of the same name.
        scaling_config: What a trial holds if its configuration does not say.
        metadata: What the trial's session is to know.
        name: What trials are named after; default: the class.

    Returns:
        The class.
    """
    kept = dict(metadata or {})

    class TrainTrainable(FunctionTrainable):
        _name = name or trainer.__name__
        _handles_checkpoint_freq = trainer._handles_checkpoints
        _handles_checkpoint_at_end = trainer._handles_checkpoints

        def setup(self, config: dict[str, Any], **given: Any) -> None:
            """Take what the trainer was given."""
            super().setup(config)
            self._given = given

        def _trainable_func(self, config: dict[str, Any]) -> None:
            present("fit").metadata = kept
            made = trainer(**_merged(self._given, config, self.trial_resources))
            made.datasets = {key: each() if callable(each) else each for key, each in made.datasets.items()}
            made.setup()
            made.training_loop()

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
            """What the trial's scaling configuration says."""
            scaling = _scaling(config.get("scaling_config", scaling_config))
            return trainer._validate_scaling_config(scaling).as_placement_group_factory()

    TrainTrainable.__name__ = TrainTrainable._name
    return cast(type[FunctionTrainable], with_parameters(TrainTrainable, **given))


def _merged(given: Mapping[str, Any], config: Mapping[str, Any], resources: Any) -> dict[str, Any]:
    """The trainer's arguments: what the trial's configuration says goes before what the trainer was given."""
    merged = {name: value for name, value in given.items() if name not in _AS_GIVEN}
    merged = deep_update(merged, dict(config), new_keys_allowed=True)
    merged.update({name: given[name] for name in _AS_GIVEN if name in given and name not in config})
    scaling = _scaling(merged.get("scaling_config") or ScalingConfig())
    if hasattr(resources, "bundles") and resources != scaling.as_placement_group_factory():
        scaling = ScalingConfig.from_placement_group_factory(resources)  # a scheduler has resized the trial
    merged["scaling_config"] = scaling
    return merged


def _scaling(given: Any) -> ScalingConfig:
    return ScalingConfig(**given) if isinstance(given, Mapping) else cast(ScalingConfig, given)
