"""NumPy arrays and PyTorch tensors, alike."""

from __future__ import annotations

import sys
from typing import Any

from skate.util.collective.types import ReduceOp


def is_torch(tensor: Any) -> bool:
    """Whether it is a PyTorch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)


def as_numpy(tensor: Any) -> Any:
    """A view of a tensor as an array.

    Raises:
        RuntimeError: it is neither an array nor a tensor.
        ValueError: it is not in memory.
    """
    import numpy as np

    if is_torch(tensor):
        if tensor.device.type != "cpu":
            raise ValueError(
                f"a tensor on {tensor.device}: gloo works on tensors in memory; move it with .cpu()."
            )
        return tensor.detach().numpy()
    if isinstance(tensor, np.ndarray):
        return tensor
    raise RuntimeError(
        f"Unrecognized tensor type '{type(tensor)}'. Supported types are: np.ndarray, torch.Tensor."
    )


def as_torch(tensor: Any) -> Any:
    """A view of a tensor as one of PyTorch."""
    import torch

    if is_torch(tensor):
        as_numpy(tensor)  # raises for one that is not in memory
        return tensor.detach()
    return torch.from_numpy(as_numpy(tensor))


def combine(values: list[Any], op: ReduceOp) -> Any:
    """Arrays combined element by element."""
    import numpy as np

    function = {
        ReduceOp.SUM: np.add,
        ReduceOp.PRODUCT: np.multiply,
        ReduceOp.MIN: np.minimum,
        ReduceOp.MAX: np.maximum,
    }[op]
    result = np.array(values[0])
    for value in values[1:]:
        function(result, value, out=result)
    return result


__all__ = ["as_numpy", "as_torch", "combine", "is_torch"]
