"""A collective operation as one actor does it, once all tensors have reached it. Pure, and without PyTorch where NumPy's arrays come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

_KINDS = {"AllReduceOp": "allreduce", "AllGatherOp": "allgather", "ReduceScatterOp": "reducescatter"}


@dataclass(frozen=True)
class Collective:
    """What an actor does with the tensors of all.

    Attributes:
        kind: "allreduce", "allgather" or "reducescatter".
        reduction: "SUM", "PRODUCT", "MAX", "MIN" or "AVG".
        rank: The actor's own rank.
    """

    kind: str
    reduction: str
    rank: int

    @classmethod
    def of(cls, op: Any, rank: int) -> Collective:
        """From the operation as users write it."""
        reduction = getattr(op, "reduceOp", None)
        return cls(_KINDS[type(op).__name__], "SUM" if reduction is None else reduction.name, rank)

    def perform(self, tensors: Sequence[Any]) -> Any:
        """What this actor gets.

        Args:
            tensors: Those of all actors, in the order of their ranks.

        Raises:
            ValueError: they are no tensors or arrays, or of different shapes, or can't be cut into as many parts as there are actors.
        """
        for tensor in tensors:
            if not hasattr(tensor, "shape"):
                raise ValueError(
                    f"Expected a torch tensor for each input node, but got a {type(tensor).__name__}."
                )
        shapes = {tuple(tensor.shape) for tensor in tensors}
        if len(shapes) > 1 or type(tensors[0]).__module__ == "builtins":
            raise ValueError(
                f"Expected tensors of one shape for a collective operation, but got {sorted(shapes)}."
            )
        if self.kind == "allgather":
            return _library(tensors[0]).concatenate(list(tensors))
        combined = self._combined(tensors)
        if self.kind == "allreduce":
            return combined
        parts, rest = divmod(len(combined), len(tensors))
        if rest:
            raise ValueError(
                f"Expected the input tensor's first dimension {len(combined)} to be divisible by the number of actors, "
                f"{len(tensors)}."
            )
        return combined[self.rank * parts : (self.rank + 1) * parts]

    def _combined(self, tensors: Sequence[Any]) -> Any:
        library = _library(tensors[0])
        if self.reduction in ("MAX", "MIN"):
            choose = library.maximum if self.reduction == "MAX" else library.minimum
            return reduce(choose, tensors[1:], tensors[0] + 0)
        combined = tensors[0] + 0  # a copy: what came by shared memory can't be written
        for tensor in tensors[1:]:
            combined = combined * tensor if self.reduction == "PRODUCT" else combined + tensor
        return combined / len(tensors) if self.reduction == "AVG" else combined


def _library(tensor: Any) -> Any:
    """The module with the functions for that kind of tensor."""
    import importlib

    return importlib.import_module("torch" if type(tensor).__module__.startswith("torch") else "numpy")
