"""Operations on the tensors of several GPUs of one member at a time, which need a backend for GPUs."""

from __future__ import annotations

from typing import Any, NoReturn

from skate.util.collective.types import ReduceOp


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"Multigpu calls requires NCCL and Cupy, which are not available: use {name}() with backend='gloo', not {name}_multigpu()."
    )


def allreduce_multigpu(
    tensor_list: list[Any], group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """As `allreduce`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("allreduce")


def reduce_multigpu(
    tensor_list: list[Any],
    dst_rank: int = 0,
    dst_tensor: int = 0,
    group_name: str = "default",
    op: ReduceOp = ReduceOp.SUM,
) -> None:
    """As `reduce`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("reduce")


def broadcast_multigpu(
    tensor_list: list[Any], src_rank: int = 0, src_tensor: int = 0, group_name: str = "default"
) -> None:
    """As `broadcast`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("broadcast")


def allgather_multigpu(
    output_tensor_lists: list[Any], input_tensor_list: list[Any], group_name: str = "default"
) -> None:
    """As `allgather`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("allgather")


def reducescatter_multigpu(
    output_tensor_list: list[Any],
    input_tensor_lists: list[Any],
    group_name: str = "default",
    op: ReduceOp = ReduceOp.SUM,
) -> None:
    """As `reducescatter`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("reducescatter")


def send_multigpu(
    tensor: Any, dst_rank: int, dst_gpu_index: int, group_name: str = "default", n_elements: int = 0
) -> None:
    """As `send`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("send")


def recv_multigpu(
    tensor: Any, src_rank: int, src_gpu_index: int, group_name: str = "default", n_elements: int = 0
) -> None:
    """As `recv`, for several GPUs of a member.

    Raises:
        RuntimeError: no backend here has it.
    """
    _refuse("recv")


__all__ = [
    "allreduce_multigpu",
    "reduce_multigpu",
    "broadcast_multigpu",
    "allgather_multigpu",
    "reducescatter_multigpu",
    "send_multigpu",
    "recv_multigpu",
]
