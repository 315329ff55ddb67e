"""What the training function of a trainer can ask about its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from skate.train.context import TrainContext

if TYPE_CHECKING:
    from skate.air.session import Session

__all__ = [
    "DistributedTrainContext",
    "LocalTrainContext",
    "TrainContext",
    "context_of",
]


def _gone(name: str, instead: str) -> NoReturn:
    raise DeprecationWarning(f"`{name}` is deprecated: {instead}.")


class _OfTrainer(TrainContext):
    def get_metadata(self) -> NoReturn:
        """No longer there.

        Raises:
            DeprecationWarning: always.
        """
        _gone("get_metadata", "pass what the training function needs in `train_loop_config`")

    def get_trial_name(self) -> NoReturn:
        """No longer there.

        Raises:
            DeprecationWarning: always.
        """
        _gone("get_trial_name", "a training run is no trial; get_experiment_name() gives its name")

    def get_trial_id(self) -> NoReturn:
        """No longer there.

        Raises:
            DeprecationWarning: always.
        """
        _gone("get_trial_id", "a training run is no trial; get_experiment_name() gives its name")

    def get_trial_resources(self) -> NoReturn:
        """No longer there.

        Raises:
            DeprecationWarning: always.
        """
        _gone("get_trial_resources", "a training run is no trial; its ScalingConfig says what it holds")

    def get_trial_dir(self) -> NoReturn:
        """No longer there.

        Raises:
            DeprecationWarning: always.
        """
        _gone("get_trial_dir", "a training run is no trial; get_storage() says where it is kept")


class DistributedTrainContext(_OfTrainer):
    """What a worker of a run can ask."""


class LocalTrainContext(_OfTrainer):
    """What a training function can ask that runs in the program's own process.

    Args:
        experiment_name: The run's name.
        world_size, world_rank, local_rank, local_world_size, node_rank: Its place among the processes that torchrun has
            started.
    """

    def __init__(
        self,
        experiment_name: str,
        world_size: int = 1,
        world_rank: int = 0,
        local_rank: int = 0,
        local_world_size: int = 1,
        node_rank: int = 0,
    ) -> None:
        self.experiment_name = experiment_name
        self.world_size, self.world_rank = world_size, world_rank
        self.local_rank, self.local_world_size, self.node_rank = local_rank, local_world_size, node_rank

    def get_experiment_name(self) -> str:
        """The name of the run."""
        return self.experiment_name

    def get_world_size(self) -> int:
        """How many processes there are."""
        return self.world_size

    def get_world_rank(self) -> int:
        """This process's number among all."""
        return self.world_rank

    def get_local_rank(self) -> int:
        """This process's number among those of its host."""
        return self.local_rank

    def get_local_world_size(self) -> int:
        """How many processes this host has."""
        return self.local_world_size

    def get_node_rank(self) -> int:
        """This host's number among those of the run."""
        return self.node_rank

    def get_storage(self) -> Any:
        """There is none.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("A run with num_workers=0 keeps nothing, and has no storage.")


def context_of(session: Session) -> TrainContext:
    """What code in a session can ask."""
    from skate.train._run.local import LocalSession
    from skate.train._run.session import TrainingSession

    if isinstance(session, LocalSession):
        return LocalTrainContext(
            session.experiment_name or "",
            session.world_size,
            session.world_rank,
            session.local_rank,
            session.local_world_size,
            session.node_rank,
        )
    alone = isinstance(session, TrainingSession) and not session.is_trial
    return DistributedTrainContext() if alone else TrainContext()
