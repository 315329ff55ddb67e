"""Batches between pandas and other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.block import BatchFormat
from skate.data.constants import TENSOR_COLUMN_NAME

if TYPE_CHECKING:
    import pandas


def convert_batch_type_to_pandas(data: Any, cast_tensor_columns: bool = False) -> pandas.DataFrame:
    """A batch of any format as a DataFrame. An array has one column, `__value__`.

    Args:
        data: A DataFrame, an Arrow table, an array or a dict of arrays.
        cast_tensor_columns: Whether columns of tensors become columns of arrays.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> import numpy
        >>> from skate.data.util.data_batch_conversion import convert_batch_type_to_pandas
        >>> convert_batch_type_to_pandas(numpy.array([1, 2]))
           __value__
        0          1
        1          2
    """
    import pandas

    if isinstance(data, np.ndarray):
        data = {TENSOR_COLUMN_NAME: data}
    if isinstance(data, dict):
        for name, values in data.items():
            if not isinstance(values, np.ndarray):
                raise ValueError(
                    f"All values in the provided dict must be of type np.ndarray. Found type {type(values)} for key {name} "
                    "instead."
                )
        frame = pandas.DataFrame({name: _column(values) for name, values in data.items()})
    elif isinstance(data, pandas.DataFrame):
        frame = data
    elif isinstance(data, pa.Table):
        frame = data.to_pandas()
    else:
        raise ValueError(
            f"Received data of type: {type(data)}, but expected it to be one of: a DataFrame, an Arrow table, an array, a "
            "dict of arrays."
        )
    return _without_tensors(frame) if cast_tensor_columns else frame


def convert_pandas_to_batch_type(
    data: pandas.DataFrame, type: BatchFormat, cast_tensor_columns: bool = False
) -> Any:
    """A DataFrame as a batch of another format. As NumPy's, one column is an array, and several are a dict.

    Args:
        data: The DataFrame.
        type: The format.
        cast_tensor_columns: Whether columns of arrays become columns of tensors first.

    Raises:
        ValueError: there is no such format.
    """
    if cast_tensor_columns:
        data = _with_tensors(data)
    if type == BatchFormat.PANDAS:
        return data
    if type == BatchFormat.NUMPY:
        if len(data.columns) == 1:
            return _stacked(data.iloc[:, 0].to_numpy())
        return {name: _stacked(data[name].to_numpy()) for name in data.columns}
    if type == BatchFormat.ARROW:
        return pa.Table.from_pandas(data)
    raise ValueError(
        f"Received type {type}, but expected it to be one of {[each.value for each in BatchFormat]}."
    )


def convert_batch_type_to_numpy(data: Any) -> Any:
    """A batch of any format as an array or a dict of arrays.

    Raises:
        ValueError: it is no batch.
    """
    import pandas

    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, dict):
        for name, values in data.items():
            if not isinstance(values, np.ndarray):
                raise ValueError(
                    f"All values in the provided dict must be of type np.ndarray. Found type {type(values)} for key {name} "
                    "instead."
                )
        return data
    if isinstance(data, pa.Table):
        return {name: convert.column_to_numpy(data.column(name)) for name in data.column_names}
    if isinstance(data, pandas.DataFrame):
        return convert_pandas_to_batch_type(data, BatchFormat.NUMPY)
    raise ValueError(
        f"Received data of type: {type(data)}, but expected it to be one of: a DataFrame, an Arrow table, an array, a dict of "
        "arrays."
    )


def _column(values: np.ndarray[Any, Any]) -> Any:
    return list(values) if values.ndim > 1 else values


def _stacked(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Arrays of one shape as one array."""
    if values.dtype == object and len(values) and all(isinstance(row, np.ndarray) for row in values):
        if len({row.shape for row in values}) == 1:
            return np.stack(list(values))
    return values


def _with_tensors(frame: pandas.DataFrame) -> pandas.DataFrame:
    from skate.data.extensions.pandas_tensor import TensorArray, column_needs_tensor_extension

    wanted = [name for name in frame.columns if column_needs_tensor_extension(frame[name])]
    return frame.assign(**{name: TensorArray(frame[name].to_numpy()) for name in wanted}) if wanted else frame


def _without_tensors(frame: pandas.DataFrame) -> pandas.DataFrame:
    from skate.data.extensions.pandas_tensor import TensorDtype

    wanted = [name for name in frame.columns if isinstance(frame[name].dtype, TensorDtype)]
    return frame.assign(**{name: list(frame[name].to_numpy()) for name in wanted}) if wanted else frame


# Under these names too, with which programs written for Ray call them.
_convert_batch_type_to_pandas = convert_batch_type_to_pandas
_convert_pandas_to_batch_type = convert_pandas_to_batch_type
_convert_batch_type_to_numpy = convert_batch_type_to_numpy

__all__ = [
    "TENSOR_COLUMN_NAME",
    "BatchFormat",
    "convert_batch_type_to_numpy",
    "convert_batch_type_to_pandas",
    "convert_pandas_to_batch_type",
]
