"""A trial of an experiment with chosen parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.tune.experiment.experiment import Experiment
    from skate.tune.experiment.trial import Trial

__all__ = [
    "make_trial",
]


def make_trial(
    experiment: Experiment, config: dict[str, Any], evaluated_params: dict[str, Any], trial_id: str, tag: str
) -> Trial:
    """Make a trial.

    Args:
        experiment: What it is a trial of.
        config: All its parameters.
        evaluated_params: Those that were chosen, by name.
        trial_id: Its id.
        tag: Those parameters in a line.

    Returns:
        The trial.
    """
    from skate.tune.experiment.trial import Trial

    spec = experiment.spec
    return Trial(
        spec["run"],
        config=config,
        trial_id=trial_id,
        storage=spec["storage"],
        evaluated_params=evaluated_params,
        experiment_tag=tag,
        placement_group_factory=spec["resources_per_trial"],
        stopping_criterion=spec["stop"],
        checkpoint_config=spec["checkpoint_config"],
        export_formats=spec["export_formats"],
        restore_path=spec["restore"],
        trial_name_creator=spec["trial_name_creator"],
        trial_dirname_creator=spec["trial_dirname_creator"],
        log_to_file=spec["log_to_file"],
        max_failures=spec["max_failures"],
    )
