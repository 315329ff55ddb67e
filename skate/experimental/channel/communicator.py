"""What moves tensors between actors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Communicator(ABC):
    """The base of communicators that programs bring along.

    Compiled graphs carry tensors through shared memory, and use no communicator: one that a graph names is accepted by
    `allreduce.bind(…, transport=…)` and its kin, and not called.
    """

    @abstractmethod
    def initialize(self, rank: int) -> None:
        """Join, in the actor of that rank."""

    @abstractmethod
    def get_actor_handles(self) -> list[Any]:
        """The members, in the order of their ranks."""

    @abstractmethod
    def get_rank(self, actor: Any) -> int:
        """The rank of an actor.

        Raises:
            ValueError: it is no member.
        """

    @abstractmethod
    def get_self_rank(self) -> int | None:
        """The rank of the actor that asks."""

    def get_world_size(self) -> int:
        """How many members there are."""
        return len(self.get_actor_handles())

    @abstractmethod
    def send(self, value: Any, peer_rank: int) -> None:
        """Send a tensor to a member."""

    @abstractmethod
    def recv(self, shape: tuple[int, ...], dtype: Any, peer_rank: int, allocator: Any = None) -> Any:
        """Receive a tensor from a member."""

    @property
    @abstractmethod
    def recv_stream(self) -> Any:
        """Where receiving happens, on a GPU."""

    @property
    @abstractmethod
    def send_stream(self) -> Any:
        """Where sending happens, on a GPU."""

    @abstractmethod
    def allgather(self, send_buf: Any, recv_buf: Any) -> None:
        """Gather the tensors of all."""

    @abstractmethod
    def allreduce(self, send_buf: Any, recv_buf: Any, op: Any) -> None:
        """Combine the tensors of all."""

    @abstractmethod
    def reducescatter(self, send_buf: Any, recv_buf: Any, op: Any) -> None:
        """Combine the tensors of all, and keep one's part."""

    @abstractmethod
    def destroy(self) -> None:
        """Leave."""

    @abstractmethod
    def get_transport_name(self) -> str:
        """What moves the tensors, in a word."""

    @classmethod
    def generate_communicator_id(cls) -> Any:
        """A name for a new group of members."""
        import uuid

        return str(uuid.uuid4())


__all__ = ["Communicator"]
