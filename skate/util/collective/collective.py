"""The operations of groups, by the groups' names, for the code that runs in their members."""

from __future__ import annotations

import os
import pickle
import socket
from typing import TYPE_CHECKING, Any

import skate
from skate import _kv
from skate.util.collective import types
from skate.util.collective.backend_registry import registry
from skate.util.collective.collective_group.meeting import ask, meeting_of
from skate.util.collective.multigpu import (
    allgather_multigpu,
    allreduce_multigpu,
    broadcast_multigpu,
    recv_multigpu,
    reduce_multigpu,
    reducescatter_multigpu,
    send_multigpu,
)
from skate.util.collective.types import Backend, ReduceOp, torch_available

if TYPE_CHECKING:
    from skate.util.collective.collective_group.base_collective_group import BaseGroup

_NAMESPACE = b"skate.collective"
_ATTEMPTS = 5


class GroupManager:
    """The groups that the actors and tasks of this process are members of."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], tuple[BaseGroup, Any]] = {}

    @staticmethod
    def _key(group_name: str) -> tuple[str, str]:
        context = skate.get_runtime_context()  # several actors may share a process
        return context.get_actor_id() or context.get_task_id() or "", group_name

    def create_collective_group(
        self, backend: str, world_size: int, rank: int, group_name: str, gloo_timeout: int | None = None
    ) -> BaseGroup:
        """Join a group."""
        seconds = (30_000 if gloo_timeout is None else gloo_timeout) / 1000
        meeting: Any = None
        if backend == Backend.GLOO:
            group, meeting = _join_gloo(world_size, rank, group_name, seconds)
        else:
            group = registry.get(backend)(world_size, rank, group_name)
        self._groups[self._key(group_name)] = (group, meeting)
        return group

    def is_group_exist(self, group_name: str) -> bool:
        """Whether this actor or task is in that group."""
        return self._key(group_name) in self._groups

    def get_group_by_name(self, group_name: str) -> BaseGroup | None:
        """That group, or None."""
        found = self._groups.get(self._key(group_name))
        return None if found is None else found[0]

    def destroy_collective_group(self, group_name: str) -> None:
        """Leave that group, if in it."""
        found = self._groups.pop(self._key(group_name), None)
        if found is not None:
            found[0].destroy_group()


_group_mgr = GroupManager()


def _join_gloo(world_size: int, rank: int, group_name: str, seconds: float) -> tuple[BaseGroup, Any]:
    """Meet the other members; then gloo where each has a process of its own on this machine, and the session elsewhere."""
    where = (socket.gethostname(), os.getpid(), torch_available())
    for attempt in range(_ATTEMPTS):
        meeting = meeting_of(group_name, world_size)
        try:
            token, places = ask(
                meeting.join.remote(rank, where, world_size),
                seconds,
                f"joining collective group {group_name!r}",
            )
            break
        except skate.exceptions.RayActorError:  # the meeting of an earlier group of that name was just ending
            if attempt == _ATTEMPTS - 1:
                raise
    else:
        raise AssertionError("unreachable")
    hosts, processes = {host for host, _, _ in places}, {(host, pid) for host, pid, _ in places}
    if len(hosts) == 1 and len(processes) == world_size and all(has_torch for _, _, has_torch in places):
        from skate.util.collective.collective_group.torch_gloo_collective_group import TorchGLOOGroup

        folder = skate.get_runtime_context().get_temp_dir()
        path = os.path.join(folder, f"gloo-{token}")
        return TorchGLOOGroup(world_size, rank, group_name, path, seconds), meeting
    from skate.util.collective.collective_group.session_group import SessionGroup

    return SessionGroup(world_size, rank, group_name, meeting, token, seconds), meeting


# -- making groups ----------------------------------------


def gloo_available() -> bool:
    """Whether groups of `backend="gloo"` can be made: always; PyTorch's gloo carries them where it is installed."""
    return True


def nccl_available() -> bool:
    """Whether groups of `backend="nccl"` can be made: they need CuPy, and Skate has no such backend of its own."""
    return registry.is_registered(Backend.NCCL)


def is_backend_available(backend: str) -> bool:
    """Whether groups of that backend can be made here."""
    if backend.upper() in (Backend.GLOO, "TORCH_GLOO"):
        return gloo_available()
    return registry.check(backend)


def _check_backend(backend: Any) -> str:
    name: str = Backend(backend)
    if not is_backend_available(name):
        raise RuntimeError(
            f"Backend {name} is not available here. Use backend='gloo', or register_collective_backend() with one of your own."
        )
    return name


def is_group_initialized(group_name: str = "default") -> bool:
    """Whether the actor or task that asks is in that group."""
    return _group_mgr.is_group_exist(group_name)


def init_collective_group(
    world_size: int,
    rank: int,
    backend: Any = Backend.NCCL,
    group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:
    """Join a group from inside a member; waits for all the others.

    Args:
        world_size: How many members there are.
        rank: Which of them this is, from 0.
        backend: "gloo", or one that is registered.
        group_name: The group's name.
        gloo_timeout: Milliseconds that joining and each operation wait for the others.

    Raises:
        RuntimeError: called outside actors and tasks, joined already, or the backend is not available here.
        ValueError: `rank` or `world_size` can't be.
        TimeoutError: not all the others came.
    """
    _check_inside_actor()
    name = _check_backend(backend)
    if not isinstance(group_name, str) or not group_name:
        raise ValueError(f"group_name {group_name!r} needs to be a string that is not empty.")
    if _group_mgr.is_group_exist(group_name):
        raise RuntimeError("Trying to initialize a group a second time.")
    if world_size < 1 or not 0 <= rank < world_size:
        raise ValueError(f"rank={rank}, world_size={world_size}: ranks go from 0 to world_size - 1.")
    _group_mgr.create_collective_group(name, world_size, rank, group_name, gloo_timeout)


def create_collective_group(
    actors: list[Any],
    world_size: int,
    ranks: list[int],
    backend: Any = Backend.NCCL,
    group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:
    """Declare a group from the driver; its members join with their first operation.

    Args:
        actors: Handles of the members.
        world_size: How many they are.
        ranks: The rank of each.
        backend: As in `init_collective_group`.
        group_name: The group's name.
        gloo_timeout: As in `init_collective_group`.

    Raises:
        RuntimeError: the group has been declared already, or the numbers do not fit.
    """
    name = _check_backend(backend)
    if len(ranks) != len(actors):
        raise RuntimeError(
            f"Each actor should correspond to one rank. Got '{len(ranks)}' ranks but '{len(actors)}' actors"
        )
    if set(ranks) != set(range(len(ranks))):
        raise RuntimeError(f"Ranks must be a permutation from 0 to '{len(ranks)}'. Got '{ranks}'.")
    if world_size != len(ranks):
        raise RuntimeError(f"World size must be the number of actors, {len(actors)}. Got '{world_size}'.")
    ids = [_id_of(actor) for actor in actors]
    declared = pickle.dumps((name, world_size, dict(zip(ids, ranks, strict=True)), gloo_timeout))
    if not _kv("put", group_name.encode(), declared, _NAMESPACE, False):
        raise RuntimeError("Trying to initialize a group twice.")


def _id_of(actor: Any) -> str:
    # A handle is equal to any other of its actor, and prints its actor's id last.
    return repr(actor).rstrip(")").rsplit(" ", 1)[-1]


def _declared(group_name: str) -> Any:
    found = _kv("get", group_name.encode(), None, _NAMESPACE, False)
    return None if found is None else pickle.loads(found)


def destroy_collective_group(group_name: str = "default") -> None:
    """Leave a group; from the driver, take back its declaration."""
    _group_mgr.destroy_collective_group(group_name)
    _kv("del", group_name.encode(), None, _NAMESPACE, False)


# -- asking ----------------------------------------


def get_rank(group_name: str = "default") -> int:
    """The rank of the actor or task that asks; -1 if it is not in the group."""
    group = _group_mgr.get_group_by_name(group_name)
    return -1 if group is None else group.rank


def get_collective_group_size(group_name: str = "default") -> int:
    """How many members the group has; -1 if the actor or task that asks is not in it."""
    group = _group_mgr.get_group_by_name(group_name)
    return -1 if group is None else group.world_size


def get_group_handle(group_name: str = "default") -> BaseGroup:
    """The group itself, joined first if it has been declared.

    Raises:
        RuntimeError: asked outside actors and tasks, or by one that is not in that group.
    """
    _check_inside_actor()
    group = _group_mgr.get_group_by_name(group_name)
    if group is not None:
        return group
    declared = _declared(group_name)
    actor = skate.get_runtime_context().get_actor_id()
    if declared is None or actor not in declared[2]:
        raise RuntimeError(
            f"The collective group {group_name!r} is not initialized in the process: call init_collective_group() in each member, or "
            "create_collective_group() in the driver."
        )
    backend, world_size, ranks, timeout = declared
    return _group_mgr.create_collective_group(backend, world_size, ranks[actor], group_name, timeout)


def _check_inside_actor() -> None:
    context = skate.get_runtime_context()
    if context.get_task_id() is None and context.get_actor_id() is None:
        raise RuntimeError("The collective APIs shall be only used inside a Ray actor or task.")


def _check_rank(group: BaseGroup, rank: int) -> None:
    if rank < 0:
        raise ValueError(f"rank '{rank}' is negative: ranks go from 0 to {group.world_size - 1}.")
    if rank >= group.world_size:
        raise ValueError(f"rank '{rank}' must be less than world size '{group.world_size}'")


def _check_peer(group: BaseGroup, rank: int) -> None:
    _check_rank(group, rank)
    if rank == group.rank:
        raise RuntimeError(f"The destination rank '{rank}' is self.")


# -- operations ----------------------------------------


def allreduce(tensor: Any, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Combine all members' tensors, in each of them."""
    _check_op(op)
    get_group_handle(group_name).allreduce(tensor, types.AllReduceOptions(reduceOp=op))


def barrier(group_name: str = "default") -> None:
    """Wait until all members are here."""
    get_group_handle(group_name).barrier()


def reduce(tensor: Any, dst_rank: int = 0, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Combine all members' tensors, in that of `dst_rank`."""
    _check_op(op)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    group.reduce(tensor, types.ReduceOptions(reduceOp=op, root_rank=dst_rank))


def broadcast(tensor: Any, src_rank: int = 0, group_name: str = "default") -> None:
    """Put the tensor of `src_rank` into all."""
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    group.broadcast(tensor, types.BroadcastOptions(root_rank=src_rank))


def allgather(tensor_list: list[Any], tensor: Any, group_name: str = "default") -> None:
    """Put all members' tensors, by rank, into `tensor_list`.

    Raises:
        RuntimeError: the list is not as long as the group has members.
    """
    group = get_group_handle(group_name)
    _check_list(group, tensor_list)
    group.allgather(tensor_list, tensor)


def reducescatter(
    tensor: Any, tensor_list: list[Any], group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """Combine the members' lists position by position, and put the position of each rank into its `tensor`.

    Raises:
        RuntimeError: the list is not as long as the group has members.
    """
    _check_op(op)
    group = get_group_handle(group_name)
    _check_list(group, tensor_list)
    group.reducescatter(tensor, tensor_list, types.ReduceScatterOptions(reduceOp=op))


def _check_op(op: Any) -> None:
    if not isinstance(op, ReduceOp):
        raise TypeError(f"op={op!r}: a ReduceOp is needed, such as ReduceOp.SUM.")


def _check_list(group: BaseGroup, tensor_list: Any) -> None:
    if not isinstance(tensor_list, list):
        raise RuntimeError(f"The input must be a list of tensors. Got '{type(tensor_list)}'.")
    if not tensor_list:
        raise RuntimeError("Got an empty list of tensors.")
    if len(tensor_list) != group.world_size:
        raise RuntimeError(
            f"The length of the tensor list must be equal to world_size, {group.world_size}. Got {len(tensor_list)}."
        )


def send(tensor: Any, dst_rank: int, group_name: str = "default") -> None:
    """Send a tensor to one member, which calls `recv`."""
    group = get_group_handle(group_name)
    _check_peer(group, dst_rank)
    group.send(tensor, types.SendOptions(dst_rank=dst_rank))


def recv(tensor: Any, src_rank: int, group_name: str = "default") -> None:
    """Receive into `tensor` what one member sends."""
    group = get_group_handle(group_name)
    _check_peer(group, src_rank)
    group.recv(tensor, types.RecvOptions(src_rank=src_rank))


__all__ = [
    "GroupManager",
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
    "send",
    "send_multigpu",
]
