"""Collective operations among actors, with the names of `ray.util.collective`.

Members join a group (`init_collective_group` in each, or `create_collective_group` in the driver) and then make the same calls in the
same order: `allreduce`, `broadcast`, `allgather` and so on, which change NumPy arrays and PyTorch tensors in place.

`backend="gloo"` is PyTorch's gloo, over the loopback interface, where each member has a process of its own and PyTorch is installed;
elsewhere, as on the inline engine, tensors travel through the session.

Example:
    >>> import numpy as np
    >>> import skate
    >>> from skate.util import collective
    >>> @skate.remote(num_cpus=0)
    ... class Member:
    ...     def add_up(self, rank):
    ...         collective.init_collective_group(2, rank, backend="gloo")
    ...         values = np.full(3, rank + 1.0)
    ...         collective.allreduce(values)
    ...         return values.tolist()
    >>> members = [Member.remote() for _ in range(2)]
    >>> skate.get([member.add_up.remote(rank) for rank, member in enumerate(members)])
    [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]
"""

from __future__ import annotations

from skate.util.collective.backend_registry import register_collective_backend
from skate.util.collective.collective import (
    allgather,
    allgather_multigpu,
    allreduce,
    allreduce_multigpu,
    barrier,
    broadcast,
    broadcast_multigpu,
    create_collective_group,
    destroy_collective_group,
    get_collective_group_size,
    get_group_handle,
    get_rank,
    gloo_available,
    init_collective_group,
    is_backend_available,
    is_group_initialized,
    nccl_available,
    recv,
    recv_multigpu,
    reduce,
    reduce_multigpu,
    reducescatter,
    reducescatter_multigpu,
    send,
    send_multigpu,
)

__all__ = [
    "allgather",
    "allgather_multigpu",
    "allreduce",
    "allreduce_multigpu",
    "barrier",
    "broadcast",
    "broadcast_multigpu",
    "create_collective_group",
    "destroy_collective_group",
    "get_collective_group_size",
    "get_group_handle",
    "get_rank",
    "gloo_available",
    "init_collective_group",
    "is_backend_available",
    "is_group_initialized",
    "nccl_available",
    "recv",
    "recv_multigpu",
    "reduce",
    "reduce_multigpu",
    "reducescatter",
    "reducescatter_multigpu",
    "register_collective_backend",
    "send",
    "send_multigpu",
]
