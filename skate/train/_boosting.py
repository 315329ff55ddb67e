"""What trainers of boosted trees share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.air.session import get_session
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer

if TYPE_CHECKING:
    from skate.train.backend import BackendConfig


def saves_here() -> bool:
    """Whether this worker is the one that brings the model: all have the same one."""
    session = get_session()
    return session is None or session.world_rank == 0


class BoostingTrainer(DataParallelTrainer):
    """A trainer whose training function calls a boosting library."""

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        backend_config: BackendConfig,
        label_column: str | None,
        params: dict[str, Any] | None,
        num_boost_round: int | None,
        **options: Any,
    ) -> None:
        given = {"label_column": label_column, "params": params, "num_boost_round": num_boost_round}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise DeprecationWarning(
                f"{type(self).__name__}({', '.join(named)}) is no longer supported: call the library in "
                "`train_loop_per_worker`, and pass what it needs in `train_loop_config`."
            )
        super().__init__(train_loop_per_worker, backend_config=backend_config, **options)
