"""Tensors as Arrow columns: extension types whose storage any Arrow reader understands.

The names, the metadata and the storage are those of Ray's types, so Parquet files of either are read by the other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_Type = TypeVar("_Type", bound=pa.ExtensionType)


def _over(made: _Type, storage_type: pa.DataType) -> _Type:
    """The type over the storage that a column really has: engines exchange the widths of offsets within it."""
    if made.storage_type == storage_type:
        return made
    other: _Type = pa.ExtensionType.__new__(type(made))
    vars(other).update(vars(made))
    pa.ExtensionType.__init__(other, storage_type, made.extension_name)
    return other


class _FixedShapeType(pa.ExtensionType):
    """What the two types with one shape for all rows share: they differ in the width of their offsets."""

    extension_id = ""
    OFFSET_DTYPE: ClassVar[pa.DataType]

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self._shape = tuple(int(size) for size in shape)
        super().__init__(self._storage_of(_arrow_dtype(dtype)), self.extension_id)

    @staticmethod
    def _storage_of(value_type: pa.DataType) -> pa.DataType:
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of each row's tensor."""
        return self._shape

    @property
    def scalar_type(self) -> pa.DataType:
        """The Arrow type of an element."""
        return self.storage_type.value_type

    @property
    def value_type(self) -> pa.DataType:
        """The Arrow type of an element."""
        return self.storage_type.value_type

    @property
    def ndim(self) -> int:
        """The number of dimensions of each row's tensor."""
        return len(self._shape)

    def to_pandas_dtype(self) -> Any:
        """The type of the same column in pandas."""
        from skate.data.extensions.pandas_tensor import TensorDtype

        return TensorDtype(self._shape, self.scalar_type.to_pandas_dtype())

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps(self._shape).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> _FixedShapeType:
        made = cls(json.loads(serialized), storage_type.value_type)
        return _over(made, storage_type)

    def __arrow_ext_class__(self) -> type[ArrowTensorArray]:
        return ArrowTensorArray

    def __arrow_ext_scalar_class__(self) -> type[ArrowTensorScalar]:
        return ArrowTensorScalar

    def __str__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.scalar_type})"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, _FixedShapeType)
            and other.shape == self.shape
            and other.storage_type == self.storage_type
        )

    def __hash__(self) -> int:
        return hash((type(self), self._shape, self.scalar_type))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._shape, self.scalar_type)


class ArrowTensorType(_FixedShapeType):
    """Tensors of one shape, 2 GiB of elements a chunk at most.

    Args:
        shape: The shape of each row's tensor.
        dtype: The type of an element, as Arrow's or NumPy's.
    """

    extension_id = "ray.data.arrow_tensor"
    OFFSET_DTYPE = pa.int32()

    @staticmethod
    def _storage_of(value_type: pa.DataType) -> pa.DataType:
        return pa.list_(value_type)


class ArrowTensorTypeV2(_FixedShapeType):
    """Tensors of one shape, without a limit on their size. This is the type that Skate makes.

    Args:
        shape: The shape of each row's tensor.
        dtype: The type of an element, as Arrow's or NumPy's.
    """

    extension_id = "ray.data.arrow_tensor_v2"
    OFFSET_DTYPE = pa.int64()

    @staticmethod
    def _storage_of(value_type: pa.DataType) -> pa.DataType:
        return pa.large_list(value_type)


class ArrowVariableShapedTensorType(pa.ExtensionType):
    """Tensors whose shape differs from row to row.

    Args:
        dtype: The type of an element, as Arrow's or NumPy's.
        ndim: The number of dimensions, the same in all rows.
    """

    extension_id = "ray.data.arrow_variable_shaped_tensor"
    OFFSET_DTYPE = pa.int64()

    def __init__(self, dtype: Any, ndim: int) -> None:
        self._ndim = ndim
        fields = [("data", pa.large_list(_arrow_dtype(dtype))), ("shape", pa.list_(pa.int64()))]
        super().__init__(pa.struct(fields), self.extension_id)

    @property
    def ndim(self) -> int:
        """The number of dimensions of each row's tensor."""
        return self._ndim

    @property
    def shape(self) -> tuple[None, ...]:
        """A None for each dimension: no size is known."""
        return (None,) * self._ndim

    @property
    def scalar_type(self) -> pa.DataType:
        """The Arrow type of an element."""
        return self.storage_type.field("data").type.value_type

    @property
    def value_type(self) -> pa.DataType:
        """The Arrow type of an element."""
        return self.scalar_type

    def to_pandas_dtype(self) -> Any:
        """The type of the same column in pandas."""
        from skate.data.extensions.pandas_tensor import TensorDtype

        return TensorDtype(self.shape, self.scalar_type.to_pandas_dtype())

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps(self._ndim).encode()

    @classmethod
    def __arrow_ext_deserialize__(
        cls, storage_type: pa.DataType, serialized: bytes
    ) -> ArrowVariableShapedTensorType:
        made = cls(storage_type.field("data").type.value_type, json.loads(serialized))
        return _over(made, storage_type)

    def __arrow_ext_class__(self) -> type[ArrowVariableShapedTensorArray]:
        return ArrowVariableShapedTensorArray

    def __arrow_ext_scalar_class__(self) -> type[ArrowTensorScalar]:
        return ArrowTensorScalar

    def __str__(self) -> str:
        return f"ArrowVariableShapedTensorType(ndim={self.ndim}, dtype={self.scalar_type})"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ArrowVariableShapedTensorType)
            and other.ndim == self.ndim
            and other.storage_type == self.storage_type
        )

    def __hash__(self) -> int:
        return hash((type(self), self._ndim, self.scalar_type))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.scalar_type, self._ndim)


class ArrowTensorScalar(pa.ExtensionScalar):
    """A row of a column of tensors."""

    def as_py(self, **_options: Any) -> Any:
        """The tensor, or None."""
        return None if self.value is None else self.to_numpy()

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """The tensor."""
        if isinstance(self.type, ArrowVariableShapedTensorType):
            return _flat_to_numpy(self.value["data"].values).reshape(self.value["shape"].as_py())
        return _flat_to_numpy(self.value.values).reshape(self.type.shape)

    def __array__(self, dtype: Any = None, **options: Any) -> np.ndarray[Any, Any]:
        return np.asarray(self.to_numpy(), dtype, **options)


class ArrowTensorArray(pa.ExtensionArray):
    """A column of tensors of one shape."""

    @classmethod
    def from_numpy(cls, arr: Any, column_name: str | None = None) -> pa.ExtensionArray:
        """A column from an array, whose first dimension is the rows, or from a list of arrays.

        Args:
            arr: The tensors. Rows of different shapes make a variable-shaped column; None is a null.
            column_name: Named in errors.

        Raises:
            ValueError: the rows differ in their number of dimensions.
        """
        if not isinstance(arr, np.ndarray) or arr.dtype == object:
            return _from_rows(list(arr), column_name)
        values = np.ascontiguousarray(arr)
        rows, shape = values.shape[0], values.shape[1:]
        size = int(np.prod(shape, dtype=np.int64))
        flat = pa.array(values.reshape(-1))
        offsets = pa.array(np.arange(rows + 1, dtype=np.int64) * size)
        storage = pa.LargeListArray.from_arrays(offsets, flat)
        return pa.ExtensionArray.from_storage(ArrowTensorTypeV2(shape, flat.type), storage)

    def to_numpy(self, zero_copy_only: bool = True) -> np.ndarray[Any, Any]:
        """The rows as one array, a view if possible; nulls make it an array of objects.

        Args:
            zero_copy_only: Accepted for Arrow's sake: booleans have to be copied.
        """
        shape: tuple[int, ...] = self.type.shape
        if self.null_count:
            return as_objects(row.to_numpy() if row is not None else None for row in self._rows())
        size = int(np.prod(shape, dtype=np.int64))
        storage = self.storage
        start = storage.offsets[0].as_py() if len(storage) else 0
        flat = storage.values.slice(start, len(storage) * size)
        return _flat_to_numpy(flat).reshape((len(self), *shape))

    def to_numpy_ndarray(self, zero_copy_only: bool = True) -> np.ndarray[Any, Any]:
        """The same as `to_numpy`, as Arrow's own columns of tensors have it."""
        return self.to_numpy(zero_copy_only)

    def to_var_shaped_tensor_array(self, ndim: int) -> pa.ExtensionArray:
        """The same tensors as a column whose shapes may differ.

        Args:
            ndim: The number of dimensions: axes of length 1 are put before those that there are.

        Raises:
            ValueError: there are more.
        """
        return _padded(self.to_numpy(zero_copy_only=False), ndim)

    def _rows(self) -> Iterable[Any]:
        for index, valid in enumerate(self.is_valid().to_pylist()):
            yield _View(self.storage[index].values, self.type.shape) if valid else None

    def to_pylist(self, **_options: Any) -> list[Any]:
        """The rows as arrays, or None."""
        return list(self.to_numpy(zero_copy_only=False))


class ArrowVariableShapedTensorArray(pa.ExtensionArray):
    """A column of tensors of different shapes."""

    SHAPES_ARRAY_TYPE = pa.list_(pa.int64())

    @classmethod
    def from_numpy(cls, arr: Any) -> pa.ExtensionArray:
        """A column from a sequence of arrays; None is a null.

        Raises:
            ValueError: the rows differ in their number of dimensions.
        """
        rows = [None if row is None else np.asarray(row) for row in arr]
        present = [row for row in rows if row is not None]
        dims = {row.ndim for row in present}
        if len(dims) > 1:
            raise ValueError(
                f"a column of tensors needs one number of dimensions, and these rows have {sorted(dims)}: "
                "reshape them, or keep them in different columns."
            )
        ndim = dims.pop() if dims else 1
        dtype = np.result_type(*present) if present else np.dtype(np.float64)
        flat = [np.ascontiguousarray(row, dtype=dtype).reshape(-1) for row in present]
        values = pa.array(np.concatenate(flat) if flat else np.empty(0, dtype))
        sizes = np.array([0 if row is None else row.size for row in rows], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        data = pa.LargeListArray.from_arrays(pa.array(offsets), values)
        shapes = pa.array(
            [[0] * ndim if row is None else list(row.shape) for row in rows], pa.list_(pa.int64())
        )
        mask = pa.array([row is None for row in rows], pa.bool_())
        storage = pa.StructArray.from_arrays([data, shapes], ["data", "shape"], mask=mask)
        return pa.ExtensionArray.from_storage(ArrowVariableShapedTensorType(values.type, ndim), storage)

    def to_numpy(self, zero_copy_only: bool = True) -> np.ndarray[Any, Any]:
        """An array of objects, each a row's tensor, or None."""
        storage = self.storage
        data, shapes = storage.field("data"), storage.field("shape").to_pylist()
        valid = storage.is_valid().to_pylist()
        return as_objects(
            _flat_to_numpy(data[row].values).reshape(shapes[row]) if valid[row] else None
            for row in range(len(self))
        )

    def to_pylist(self, **_options: Any) -> list[Any]:
        """The rows as arrays, or None."""
        return list(self.to_numpy(zero_copy_only=False))

    def to_var_shaped_tensor_array(self, ndim: int) -> pa.ExtensionArray:
        """The same tensors with so many dimensions: axes of length 1 are put before those that there are.

        Raises:
            ValueError: there are more.
        """
        return _padded(self.to_numpy(zero_copy_only=False), ndim)


def _padded(rows: Iterable[Any], ndim: int) -> pa.ExtensionArray:
    def pad(row: Any) -> Any:
        if row is None:
            return None
        if row.ndim > ndim:
            raise ValueError(f"Can't convert tensors of {row.ndim} dimensions into tensors of {ndim}.")
        return row.reshape((1,) * (ndim - row.ndim) + row.shape)

    return ArrowVariableShapedTensorArray.from_numpy([pad(row) for row in rows])


class _View:
    def __init__(self, values: pa.Array, shape: tuple[int, ...]) -> None:
        self._values, self._shape = values, shape

    def to_numpy(self) -> np.ndarray[Any, Any]:
        return _flat_to_numpy(self._values).reshape(self._shape)


def is_tensor_type(dtype: pa.DataType) -> bool:
    """Whether a column of this type holds a tensor in each row."""
    return isinstance(dtype, (_FixedShapeType, ArrowVariableShapedTensorType, pa.FixedShapeTensorType))


def get_arrow_extension_tensor_types() -> tuple[type[pa.ExtensionType], ...]:
    """The extension types of tensor columns."""
    return (ArrowTensorType, ArrowTensorTypeV2, ArrowVariableShapedTensorType)


def get_arrow_extension_fixed_shape_tensor_types() -> tuple[type[pa.ExtensionType], ...]:
    """The extension types of columns of tensors of one shape."""
    return (ArrowTensorType, ArrowTensorTypeV2)


def get_arrow_extension_variable_shape_tensor_types() -> tuple[type[pa.ExtensionType], ...]:
    """The extension types of columns of tensors of different shapes."""
    return (ArrowVariableShapedTensorType,)


def create_arrow_fixed_shape_tensor_type(shape: Sequence[int], dtype: Any) -> pa.DataType:
    """The type that a column of tensors of this shape has.

    Args:
        shape: The shape of each row's tensor.
        dtype: The type of an element, as Arrow's or NumPy's.
    """
    return ArrowTensorTypeV2(shape, dtype)


def tensor_to_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A tensor column as an array of rows, or of objects if their shapes differ or some are null."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts: list[np.ndarray[Any, Any]]
    if isinstance(column.type, pa.FixedShapeTensorType):
        parts = [chunk.to_numpy_ndarray() for chunk in chunks]
    else:
        parts = [chunk.to_numpy(zero_copy_only=False) for chunk in chunks]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        shape = column.type.shape
        fixed = all(size is not None for size in shape)
        return np.empty((0, *shape) if fixed else 0, dtype=float if fixed else object)
    if any(part.dtype == object for part in parts):
        return as_objects(row for part in parts for row in part)
    return np.concatenate(parts)


def _from_rows(rows: list[Any], column_name: str | None) -> pa.ExtensionArray:
    arrays = [None if row is None else np.asarray(row) for row in rows]
    present = [row for row in arrays if row is not None]
    if len(present) == len(rows) and len({row.shape for row in present}) == 1:
        stacked = np.stack(present)
        if stacked.dtype != object:
            return ArrowTensorArray.from_numpy(stacked, column_name)
    return ArrowVariableShapedTensorArray.from_numpy(arrays)


def _flat_to_numpy(values: pa.Array) -> np.ndarray[Any, Any]:
    flat: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)
    return flat


def as_objects(rows: Iterable[Any]) -> np.ndarray[Any, Any]:
    """A one-dimensional array of objects, however much alike they are."""
    items = list(rows)
    out = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        out[index] = item
    return out


def _arrow_dtype(dtype: Any) -> pa.DataType:
    return dtype if isinstance(dtype, pa.DataType) else pa.from_numpy_dtype(dtype)


def register() -> None:
    """Make Arrow know the types, once a process."""
    for kind in (
        ArrowTensorType((0,), pa.int64()),
        ArrowTensorTypeV2((0,), pa.int64()),
        ArrowVariableShapedTensorType(pa.int64(), 0),
    ):
        try:
            pa.register_extension_type(kind)
        except pa.ArrowKeyError:  # by an earlier import of this module, or by Ray in the same process
            continue


register()


# Arrow's own type of tensors of one shape.
FixedShapeTensorType = pa.FixedShapeTensorType

__all__ = [
    "ArrowTensorArray",
    "ArrowTensorScalar",
    "ArrowTensorType",
    "ArrowTensorTypeV2",
    "ArrowVariableShapedTensorArray",
    "ArrowVariableShapedTensorType",
    "FixedShapeTensorType",
    "as_objects",
    "create_arrow_fixed_shape_tensor_type",
    "get_arrow_extension_fixed_shape_tensor_types",
    "get_arrow_extension_tensor_types",
    "get_arrow_extension_variable_shape_tensor_types",
    "is_tensor_type",
    "register",
    "tensor_to_numpy",
]
