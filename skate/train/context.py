"""What a training function can ask about the run that it is part of."""

from __future__ import annotations

from typing import Any

from skate.air import session

__all__ = [
    "TrainContext",
    "get_context",
]


class TrainContext:
    """Answers questions about the run and the worker in which it is asked."""

    def get_experiment_name(self) -> Any:
        """The name of the run."""
        return session.get_experiment_name()

    def get_world_size(self) -> Any:
        """How many workers the run has."""
        return session.get_world_size()

    def get_world_rank(self) -> Any:
        """This worker's number among all."""
        return session.get_world_rank()

    def get_local_rank(self) -> Any:
        """This worker's number among those of its host."""
        return session.get_local_rank()

    def get_local_world_size(self) -> Any:
        """How many workers this host has."""
        return session.get_local_world_size()

    def get_node_rank(self) -> Any:
        """This host's number among those of the run."""
        return session.get_node_rank()

    def get_storage(self) -> Any:
        """Where the run is kept."""
        return session.get_storage()

    def get_metadata(self) -> Any:
        """What the user gave the run to carry."""
        return session.get_metadata()

    def get_trial_name(self) -> Any:
        """The name of the trial that the run is."""
        return session.get_trial_name()

    def get_trial_id(self) -> Any:
        """The id of the trial that the run is."""
        return session.get_trial_id()

    def get_trial_resources(self) -> Any:
        """The bundles of resources that the trial holds."""
        return session.get_trial_resources()

    def get_trial_dir(self) -> Any:
        """The directory of the trial that the run is."""
        return session.get_trial_dir()


def get_context() -> TrainContext:
    """What the training function can ask about its run.

    Raises:
        RuntimeError: called where no training function runs.
    """
    from skate.train.v2.api.context import context_of

    return context_of(session.present("get_context"))
