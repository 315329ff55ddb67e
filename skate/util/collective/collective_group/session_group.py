"""A group whose members exchange tensors through the session: for members that share a process, or have no PyTorch."""

from __future__ import annotations

from collections import Counter
from typing import Any

from skate.util.collective import types
from skate.util.collective.collective_group import tensors
from skate.util.collective.collective_group.base_collective_group import BaseGroup
from skate.util.collective.collective_group.meeting import ask


class SessionGroup(BaseGroup):
    """See `BaseGroup`. Every operation is a round of the group's meeting."""

    def __init__(
        self, world_size: int, rank: int, group_name: str, meeting: Any, token: str, seconds: float
    ) -> None:
        super().__init__(world_size, rank, group_name)
        self._meeting = meeting
        self._token = token
        self._seconds = seconds
        self._round = 0
        self._letters: Counter[tuple[int, int]] = Counter()

    @classmethod
    def backend(cls) -> str:
        """The name that it was asked for by."""
        return types.Backend.GLOO

    def destroy_group(self) -> None:
        """Leave the group."""
        self._meeting = None

    def _exchange(self, value: Any, what: str) -> list[Any]:
        self._round += 1
        call = self._meeting.exchange.remote((self._token, self._round), self._rank, value)
        answer: list[Any] = ask(call, self._seconds, what)
        return answer

    def allreduce(
        self, tensor: Any, allreduce_options: types.AllReduceOptions = types.AllReduceOptions()
    ) -> None:
        """As in `BaseGroup`."""
        array = tensors.as_numpy(tensor)
        array[...] = tensors.combine(self._exchange(array, "allreduce"), allreduce_options.reduceOp)

    def barrier(self, barrier_options: types.BarrierOptions = types.BarrierOptions()) -> None:
        """As in `BaseGroup`."""
        self._exchange(None, "barrier")

    def reduce(self, tensor: Any, reduce_options: types.ReduceOptions = types.ReduceOptions()) -> None:
        """As in `BaseGroup`."""
        array = tensors.as_numpy(tensor)
        values = self._exchange(array, "reduce")
        if self._rank == reduce_options.root_rank:
            array[...] = tensors.combine(values, reduce_options.reduceOp)

    def allgather(
        self,
        tensor_list: Any,
        tensor: Any,
        allgather_options: types.AllGatherOptions = types.AllGatherOptions(),
    ) -> None:
        """As in `BaseGroup`."""
        values = self._exchange(tensors.as_numpy(tensor), "allgather")
        for target, value in zip(tensor_list, values, strict=True):
            tensors.as_numpy(target)[...] = value

    def broadcast(
        self, tensor: Any, broadcast_options: types.BroadcastOptions = types.BroadcastOptions()
    ) -> None:
        """As in `BaseGroup`."""
        array = tensors.as_numpy(tensor)
        root = broadcast_options.root_rank
        array[...] = self._exchange(array if self._rank == root else None, "broadcast")[root]

    def reducescatter(
        self,
        tensor: Any,
        tensor_list: Any,
        reducescatter_options: types.ReduceScatterOptions = types.ReduceScatterOptions(),
    ) -> None:
        """As in `BaseGroup`."""
        values = self._exchange([tensors.as_numpy(each) for each in tensor_list], "reducescatter")
        mine = [value[self._rank] for value in values]
        tensors.as_numpy(tensor)[...] = tensors.combine(mine, reducescatter_options.reduceOp)

    def _letter(self, source: int, target: int) -> Any:
        self._letters[source, target] += 1
        return self._token, source, target, self._letters[source, target]

    def send(self, tensor: Any, send_options: types.SendOptions) -> None:
        """As in `BaseGroup`."""
        name = self._letter(self._rank, send_options.dst_rank)
        ask(self._meeting.send.remote(name, tensors.as_numpy(tensor)), self._seconds, "send")

    def recv(self, tensor: Any, recv_options: types.RecvOptions) -> None:
        """As in `BaseGroup`."""
        name = self._letter(recv_options.src_rank, self._rank)
        tensors.as_numpy(tensor)[...] = ask(self._meeting.receive.remote(name), self._seconds, "recv")


__all__ = ["SessionGroup"]
