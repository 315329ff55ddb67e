"""A group over PyTorch's gloo: members connect to one another through the loopback interface."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from skate.util.collective import types
from skate.util.collective.collective_group.base_collective_group import BaseGroup
from skate.util.collective.collective_group.tensors import as_torch


class TorchGLOOGroup(BaseGroup):
    """See `BaseGroup`.

    Args:
        world_size: How many members there are.
        rank: Which of them this is.
        group_name: The group's name.
        path: A file that all members can reach and no other group uses, for finding one another.
        seconds: How long an operation waits for the others.
    """

    def __init__(self, world_size: int, rank: int, group_name: str, path: str, seconds: float) -> None:
        super().__init__(world_size, rank, group_name)
        import torch.distributed as dist

        self._dist = dist
        self._path = path
        options: Any = dist.ProcessGroupGloo._Options()  # noqa: SLF001 -- the one way to say which interface
        options._timeout = timedelta(seconds=seconds)  # noqa: SLF001
        options._devices = [  # noqa: SLF001
            dist.ProcessGroupGloo.create_device(hostname="127.0.0.1")
        ]
        store = dist.PrefixStore(group_name, dist.FileStore(path, world_size))
        self._group: Any = dist.ProcessGroupGloo(store, rank, world_size, options)
        self._tags: dict[tuple[int, int], int] = {}

    @classmethod
    def backend(cls) -> str:
        """Its name."""
        return types.Backend.GLOO

    def destroy_group(self) -> None:
        """Leave the group."""
        self._group = None
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass  # another member was faster

    def _op(self, op: types.ReduceOp) -> Any:
        return getattr(self._dist.ReduceOp, op.name)

    def allreduce(
        self, tensor: Any, allreduce_options: types.AllReduceOptions = types.AllReduceOptions()
    ) -> None:
        """As in `BaseGroup`."""
        options = self._dist.AllreduceOptions()
        options.reduceOp = self._op(allreduce_options.reduceOp)
        self._group.allreduce([as_torch(tensor)], options).wait()

    def barrier(self, barrier_options: types.BarrierOptions = types.BarrierOptions()) -> None:
        """As in `BaseGroup`."""
        self._group.barrier().wait()

    def reduce(self, tensor: Any, reduce_options: types.ReduceOptions = types.ReduceOptions()) -> None:
        """As in `BaseGroup`."""
        options = self._dist.ReduceOptions()
        options.reduceOp = self._op(reduce_options.reduceOp)
        options.rootRank = reduce_options.root_rank
        root = self._rank == reduce_options.root_rank
        own = as_torch(tensor)
        # gloo leaves partial sums in the other members' tensors, which are not to change.
        self._group.reduce([own if root else own.clone()], options).wait()

    def allgather(
        self,
        tensor_list: Any,
        tensor: Any,
        allgather_options: types.AllGatherOptions = types.AllGatherOptions(),
    ) -> None:
        """As in `BaseGroup`."""
        targets = [as_torch(each) for each in tensor_list]
        self._group.allgather([targets], [as_torch(tensor)]).wait()

    def broadcast(
        self, tensor: Any, broadcast_options: types.BroadcastOptions = types.BroadcastOptions()
    ) -> None:
        """As in `BaseGroup`."""
        options = self._dist.BroadcastOptions()
        options.rootRank = broadcast_options.root_rank
        options.rootTensor = 0
        self._group.broadcast([as_torch(tensor)], options).wait()

    def reducescatter(
        self,
        tensor: Any,
        tensor_list: Any,
        reducescatter_options: types.ReduceScatterOptions = types.ReduceScatterOptions(),
    ) -> None:
        """As in `BaseGroup`."""
        import torch

        together = torch.stack([as_torch(each) for each in tensor_list])
        options = self._dist.AllreduceOptions()
        options.reduceOp = self._op(reducescatter_options.reduceOp)
        self._group.allreduce([together], options).wait()
        as_torch(tensor).copy_(together[self._rank])

    def send(self, tensor: Any, send_options: types.SendOptions) -> None:
        """As in `BaseGroup`."""
        self._group.send([as_torch(tensor)], send_options.dst_rank, 0).wait()

    def recv(self, tensor: Any, recv_options: types.RecvOptions) -> None:
        """As in `BaseGroup`."""
        self._group.recv([as_torch(tensor)], recv_options.src_rank, 0).wait()


__all__ = ["TorchGLOOGroup"]
