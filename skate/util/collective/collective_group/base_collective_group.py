"""What a group of processes can do together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from skate.util.collective import types


class BaseGroup(ABC):
    """This process's part in a group. Every member calls the same operations in the same order; they change tensors in place.

    A tensor is a NumPy array or a PyTorch tensor in memory.

    Args:
        world_size: How many members there are.
        rank: Which of them this is, from 0.
        group_name: The group's name.
    """

    def __init__(self, world_size: int, rank: int, group_name: str) -> None:
        self._world_size = world_size
        self._rank = rank
        self._group_name = group_name

    @property
    def rank(self) -> int:
        """Which member this is."""
        return self._rank

    @property
    def world_size(self) -> int:
        """How many members there are."""
        return self._world_size

    @property
    def group_name(self) -> str:
        """The group's name."""
        return self._group_name

    def destroy_group(self) -> None:  # noqa: B027 -- a group may have nothing to let go of
        """Leave the group."""

    @classmethod
    def backend(cls) -> str:
        """The backend's name."""
        raise NotImplementedError

    @classmethod
    def check_backend_availability(cls) -> bool:
        """Whether the backend can be used here."""
        return True

    @abstractmethod
    def allreduce(
        self, tensor: Any, allreduce_options: types.AllReduceOptions = types.AllReduceOptions()
    ) -> None:
        """Combine all members' tensors, in each of them."""

    @abstractmethod
    def barrier(self, barrier_options: types.BarrierOptions = types.BarrierOptions()) -> None:
        """Wait until all members are here."""

    @abstractmethod
    def reduce(self, tensor: Any, reduce_options: types.ReduceOptions = types.ReduceOptions()) -> None:
        """Combine all members' tensors, in the root's."""

    @abstractmethod
    def allgather(
        self,
        tensor_list: Any,
        tensor: Any,
        allgather_options: types.AllGatherOptions = types.AllGatherOptions(),
    ) -> None:
        """Put all members' tensors, by rank, into `tensor_list`."""

    @abstractmethod
    def broadcast(
        self, tensor: Any, broadcast_options: types.BroadcastOptions = types.BroadcastOptions()
    ) -> None:
        """Put the root's tensor into all."""

    @abstractmethod
    def reducescatter(
        self,
        tensor: Any,
        tensor_list: Any,
        reducescatter_options: types.ReduceScatterOptions = types.ReduceScatterOptions(),
    ) -> None:
        """Combine the members' lists position by position, and put the position of this rank into `tensor`."""

    @abstractmethod
    def send(self, tensor: Any, send_options: types.SendOptions) -> None:
        """Send a tensor to one member, which receives it."""

    @abstractmethod
    def recv(self, tensor: Any, recv_options: types.RecvOptions) -> None:
        """Receive a tensor that one member sends."""


__all__ = ["BaseGroup"]
