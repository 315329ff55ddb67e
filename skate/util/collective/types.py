"""Kinds of backends, reductions, and what the operations of a group are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import ClassVar

unset_timeout_ms = timedelta(milliseconds=-1)


class Backend:
    """A backend's name: `Backend("gloo") == Backend.GLOO`.

    Raises:
        ValueError: there is no such backend.
    """

    NCCL: ClassVar[str] = "NCCL"
    GLOO: ClassVar[str] = "GLOO"
    UNRECOGNIZED: ClassVar[str] = "unrecognized"

    def __new__(cls, name: str) -> str:  # type: ignore[misc]
        """The name as the constants have it."""
        if not isinstance(name, str):
            raise ValueError(f"backend={name!r}: a string is needed, such as 'gloo'.")
        from skate.util.collective.backend_registry import known_backends

        found = name.upper()
        if found == "TORCH_GLOO":
            found = cls.GLOO
        if found not in (cls.NCCL, cls.GLOO, *known_backends()):
            raise ValueError(
                f"Unrecognized backend: {name!r}. Known: {cls.GLOO}, {cls.NCCL}; or register_collective_backend()."
            )
        return found


class ReduceOp(Enum):
    """How values are combined."""

    SUM = 0
    PRODUCT = 1
    MIN = 2
    MAX = 3


@dataclass
class AllReduceOptions:
    """Of `allreduce`."""

    reduceOp: ReduceOp = ReduceOp.SUM  # noqa: N815 -- its name in the API
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class BarrierOptions:
    """Of `barrier`."""

    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class ReduceOptions:
    """Of `reduce`."""

    reduceOp: ReduceOp = ReduceOp.SUM  # noqa: N815 -- its name in the API
    root_rank: int = 0
    root_tensor: int = 0
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class AllGatherOptions:
    """Of `allgather`."""

    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class BroadcastOptions:
    """Of `broadcast`."""

    root_rank: int = 0
    root_tensor: int = 0
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class ReduceScatterOptions:
    """Of `reducescatter`."""

    reduceOp: ReduceOp = ReduceOp.SUM  # noqa: N815 -- its name in the API
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class SendOptions:
    """Of `send`."""

    dst_rank: int = 0
    dst_gpu_index: int = 0
    n_elements: int = 0
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class RecvOptions:
    """Of `recv`."""

    src_rank: int = 0
    src_gpu_index: int = 0
    n_elements: int = 0
    unset_timeout_ms: timedelta = field(default=unset_timeout_ms)


def torch_available() -> bool:
    """Whether PyTorch is installed."""
    import importlib.util

    return importlib.util.find_spec("torch") is not None


def cupy_available() -> bool:
    """Whether CuPy is installed."""
    import importlib.util

    return importlib.util.find_spec("cupy") is not None


__all__ = [
    "AllGatherOptions",
    "AllReduceOptions",
    "Backend",
    "BarrierOptions",
    "BroadcastOptions",
    "RecvOptions",
    "ReduceOp",
    "ReduceOptions",
    "ReduceScatterOptions",
    "SendOptions",
    "cupy_available",
    "torch_available",
    "unset_timeout_ms",
]
