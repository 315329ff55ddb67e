"""Collective operations of graphs as values, and devices of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ReduceOp(Enum):
    """How tensors are combined."""

    SUM = 0
    PRODUCT = 1
    MAX = 2
    MIN = 3
    AVG = 4

    def __str__(self) -> str:
        return self.name.lower()


class _CollectiveOp:
    """What several actors do together."""


@dataclass
class AllGatherOp(_CollectiveOp):
    """Each gets all tensors, one after the other along the first dimension."""


@dataclass
class AllReduceOp(_CollectiveOp):
    """Each gets the combination of all tensors."""

    reduceOp: ReduceOp = ReduceOp.SUM  # noqa: N815 -- its name in the API


@dataclass
class ReduceScatterOp(_CollectiveOp):
    """Each gets its part, along the first dimension, of the combination of all tensors."""

    reduceOp: ReduceOp = ReduceOp.SUM  # noqa: N815 -- its name in the API


class Device(Enum):
    """Where a tensor lies after it has been moved."""

    DEFAULT = "default"
    CPU = "cpu"
    GPU = "gpu"
    CUDA = "cuda"

    def __str__(self) -> str:
        return self.value


__all__ = ["AllGatherOp", "AllReduceOp", "Device", "ReduceOp", "ReduceScatterOp"]
