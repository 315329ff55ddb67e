"""What Lightning asks about the processes that train together."""

from __future__ import annotations

from typing import Any

from skate.train.context import get_context as _get_context
from skate.train.lightning._library import base as _base
from skate.train.lightning._library import need as _need

__all__ = [
    "RayLightningEnvironment",
]

_Base: Any = _base("plugins.environments", "LightningEnvironment")


class RayLightningEnvironment(_Base):  # type: ignore[misc]  # known at run time only
    """Lightning's view of a trainer's workers: it starts no processes, and asks for ranks here.

    Pass it as `Trainer(plugins=[RayLightningEnvironment()])`.

    Raises:
        ImportError: Lightning is not installed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _need("RayLightningEnvironment")
        super().__init__(*args, **kwargs)

    @property
    def creates_processes_externally(self) -> bool:
        """The processes are there already."""
        return True

    def world_size(self) -> int:
        """How many workers there are."""
        return int(_get_context().get_world_size())

    def global_rank(self) -> int:
        """This worker's number among all."""
        return int(_get_context().get_world_rank())

    def local_rank(self) -> int:
        """This worker's number among those of its host."""
        return int(_get_context().get_local_rank())

    def node_rank(self) -> int:
        """This host's number among those of the run."""
        return int(_get_context().get_node_rank())

    def set_world_size(self, size: int) -> None:
        """Nothing to do: the trainer has decided it."""

    def set_global_rank(self, rank: int) -> None:
        """Nothing to do: the trainer has decided it."""

    def teardown(self) -> None:
        """Nothing to do: the trainer takes the group apart."""
