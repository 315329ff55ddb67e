"""How LightGBM's workers find one another: by a list of addresses, which each passes on in its parameters."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from skate.air.session import get_session
from skate.train._ports import reserve, reserved
from skate.train.backend import Backend, BackendConfig

__all__ = [
    "LightGBMConfig",
    "get_network_params",
]

_logger = logging.getLogger(__name__)
_parameters: dict[str, Any] = {}


def get_network_params() -> dict[str, Any]:
    """The parameters that make LightGBM train together with the other workers; merge them into those of the model.

    Returns:
        Empty where there is one worker, or outside of a training function.

    Example:
        >>> from skate.train.lightgbm import get_network_params
        >>> params = {"objective": "binary", "tree_learner": "data_parallel", **get_network_params()}
    """
    if get_session() is None:
        _logger.warning(
            "`get_network_params` was called outside of a LightGBMTrainer's training function, and returns nothing."
        )
    reserved.release()
    return dict(_parameters)


@dataclass
class LightGBMConfig(BackendConfig):
    """How LightGBM's workers exchange what they have learnt. There is nothing to choose."""

    @property
    def backend_cls(self) -> type[Backend]:
        """What gives the workers their addresses."""
        return _LightGBMBackend


class _LightGBMBackend(Backend):
    def on_training_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Reserve a port for each worker, and tell all of them the list."""
        members = worker_group.members
        alone = len({member.node_id for member in members}) == 1
        machines = worker_group.execute(reserve, alone)
        common = {
            "machines": ",".join(f"{host}:{port}" for host, port in machines),
            "num_machines": len(machines),
            "time_out": 120,
        }
        worker_group.wait(
            [
                worker_group.execute_single_async(
                    rank, _set_parameters, {**common, "local_listen_port": port}
                )
                for rank, (_, port) in enumerate(machines)
            ]
        )


def _set_parameters(parameters: dict[str, Any]) -> None:
    _parameters.clear()
    _parameters.update(parameters)
