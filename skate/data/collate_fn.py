"""What makes tensors of batches."""

from __future__ import annotations

import abc
import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Callable

DataBatchType = TypeVar("DataBatchType")


class CollateFn(abc.ABC, Generic[DataBatchType]):
    """Base of classes that make of a batch what a training loop gets."""

    @abc.abstractmethod
    def __call__(self, batch: DataBatchType) -> Any:
        """What the loop gets of a batch."""


class ArrowBatchCollateFn(CollateFn[pa.Table]):
    """A `CollateFn` that takes Arrow tables."""


class NumpyBatchCollateFn(CollateFn[dict[str, Any]]):
    """A `CollateFn` that takes dicts of arrays."""


class PandasBatchCollateFn(CollateFn[Any]):
    """A `CollateFn` that takes DataFrames."""


class DefaultCollateFn(ArrowBatchCollateFn):
    """Makes torch tensors of Arrow tables, by name.

    Args:
        dtypes: The type of all tensors, or one for each column.
        combine_chunks: Accepted for Ray's programs.
        num_workers: Accepted for Ray's programs.
    """

    def __init__(self, dtypes: Any = None, combine_chunks: bool = False, num_workers: int = 4) -> None:
        self.dtypes = dtypes

    def __call__(self, batch: pa.Table) -> Any:
        """The tensors of a batch."""
        return to_tensors(convert.table_to_batch(batch, "numpy"), self.dtypes)


def to_tensors(
    batch: dict[str, np.ndarray[Any, Any]], dtypes: Any = None, device: Any = None
) -> dict[str, Any]:
    """Torch tensors of a dict of arrays.

    Raises:
        ImportError: torch is missing.
        TypeError: a column holds what no tensor can.
    """
    torch = require_module("torch")
    tensors = {}
    for name, values in batch.items():
        kind = dtypes.get(name) if isinstance(dtypes, dict) else dtypes
        tensors[name] = _tensor(torch, name, values, kind, device)
    return tensors


def _tensor(torch: Any, name: str, values: np.ndarray[Any, Any], dtype: Any, device: Any) -> Any:
    if values.dtype == object and len(values) and all(isinstance(row, np.ndarray) for row in values):
        if len({row.shape for row in values}) > 1:
            return [torch.as_tensor(np.array(row), dtype=dtype, device=device) for row in values]
        values = np.stack(values)  # type: ignore[call-overload]
    if values.dtype.kind in "OUSM":
        raise TypeError(
            f"The column {name!r} holds {values.dtype} and can't be made a tensor: leave it out with "
            "drop_columns, make numbers of it, or pass collate_fn."
        )
    if values.dtype in (np.uint16, np.uint32, np.uint64):
        values = values.astype(np.int64)
    if not values.flags.writeable:
        values = values.copy()  # a tensor can be written into, and the block must not change
    return torch.as_tensor(values, dtype=dtype, device=device)


def torch_finisher(
    dtypes: Any, device: Any, collate_fn: Any, pin_memory: bool
) -> tuple[str, Callable[[Any], Any]]:
    """The format of batches, and what makes of one what `iter_torch_batches` gives."""
    where = _own_device() if device == "auto" else device
    if collate_fn is None:

        def finish(batch: Any) -> Any:
            tensors = to_tensors(batch, dtypes, where)
            return {k: v.pin_memory() for k, v in tensors.items()} if pin_memory else tensors

        return "numpy", finish

    def collate(batch: Any) -> Any:
        return _moved(collate_fn(batch), where)

    return _format_of(collate_fn), collate


def _own_device() -> Any:
    """The device of the training worker that this is; None where it is none."""
    training = sys.modules.get("skate.train")
    if training is None:  # nobody trains here
        return None
    from skate.train.torch import get_device

    try:
        return get_device()
    except RuntimeError:  # what it says outside of a training function
        return None


def is_tensor_batch_type(batch: Any) -> bool:
    """Whether it is a torch tensor, or a list, tuple or dict of them, two levels deep at most."""
    torch = require_module("torch")

    def level(value: Any, depth: int) -> bool:
        if isinstance(value, torch.Tensor):
            return True
        parts = (
            value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
        )
        return parts is not None and depth > 0 and all(level(part, depth - 1) for part in parts)

    return level(batch, 2)


def _moved(value: Any, device: Any) -> Any:
    if device is None:
        return value
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if hasattr(value, "to") else value


def tf_finisher(dtypes: Any) -> Callable[[Any], Any]:
    """What makes TensorFlow tensors of a batch."""
    tf = require_module("tensorflow")

    def finish(batch: dict[str, Any]) -> Any:
        out = {}
        for name, values in batch.items():
            kind = dtypes.get(name) if isinstance(dtypes, dict) else dtypes
            ragged = values.dtype == object and len(values) and isinstance(values[0], np.ndarray)
            out[name] = _ragged(tf, values) if ragged else tf.convert_to_tensor(values, dtype=kind)
        return out

    return finish


def _ragged(tf: Any, rows: np.ndarray[Any, Any]) -> Any:
    stacked = tf.ragged.stack(list(rows))
    if isinstance(stacked, tf.RaggedTensor):
        return stacked.with_row_splits_dtype(tf.int64)
    return tf.RaggedTensor.from_tensor(stacked, ragged_rank=rows[0].ndim)  # of one row


def jax_finisher(
    dtypes: Any, paddings: Any, collate_fn: Any, batch_size: int
) -> tuple[str, Callable[[Any], Any]]:
    """The format of batches, and what makes of one what `iter_jax_batches` gives."""
    jnp = require_module("jax.numpy", "jax")

    def array(values: np.ndarray[Any, Any], kind: Any, fill: Any) -> Any:
        if values.dtype.kind in "OUSM":
            raise TypeError(
                f"Dtype {values.dtype} is not a valid JAX array type: leave the column out with drop_columns, make numbers of "
                "it, or pass collate_fn."
            )
        missing = batch_size - len(values)
        if fill is not None and missing > 0:
            values = np.concatenate([values, np.full((missing, *values.shape[1:]), fill, values.dtype)])
        return jnp.asarray(values, dtype=kind)

    def finish(batch: Any) -> Any:
        if collate_fn is not None:
            batch = collate_fn(batch)
        if not isinstance(batch, dict):
            return array(np.asarray(batch), dtypes, paddings)
        return {
            name: array(np.asarray(values), _of_column(dtypes, name), _of_column(paddings, name))
            for name, values in batch.items()
        }

    return _format_of(collate_fn), finish


def _of_column(given: Any, name: str) -> Any:
    """What holds for a column, of what was given for all or by name."""
    return given.get(name) if isinstance(given, dict) else given


def _format_of(collate_fn: Any) -> str:
    """The format of batches that a collate function takes."""
    kinds = ((ArrowBatchCollateFn, "pyarrow"), (PandasBatchCollateFn, "pandas"))
    return next((name for base, name in kinds if isinstance(collate_fn, base)), "numpy")


__all__ = [
    "ArrowBatchCollateFn",
    "CollateFn",
    "DataBatchType",
    "DefaultCollateFn",
    "NumpyBatchCollateFn",
    "PandasBatchCollateFn",
    "is_tensor_batch_type",
    "jax_finisher",
    "tf_finisher",
    "to_tensors",
    "torch_finisher",
]
