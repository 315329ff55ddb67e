"""Types of columns and expressions: Arrow's, NumPy's and Python's under one roof."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

_TYPES = pa.types


class TypeCategory(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """Kinds of types, for `DataType.is_of`."""

    LIST = "list"
    LARGE_LIST = "large_list"
    STRUCT = "struct"
    MAP = "map"
    TENSOR = "tensor"
    TEMPORAL = "temporal"


@dataclass(frozen=True)
class DataType:
    """A type: Arrow's, NumPy's or Python's.

    Example:
        >>> from skate.data.datatype import DataType
        >>> DataType.int64(), DataType.list(DataType.string()).is_list_type()
        (DataType(int64), True)
    """

    _physical_dtype: Any = None

    # Arrow's types without parameters: class methods, made below. (`bool` is one too.)
    int8: ClassVar[Any]
    int16: ClassVar[Any]
    int32: ClassVar[Any]
    int64: ClassVar[Any]
    uint8: ClassVar[Any]
    uint16: ClassVar[Any]
    uint32: ClassVar[Any]
    uint64: ClassVar[Any]
    float32: ClassVar[Any]
    float64: ClassVar[Any]
    string: ClassVar[Any]
    binary: ClassVar[Any]

    def __post_init__(self) -> None:
        if self._physical_dtype is not None and not isinstance(
            self._physical_dtype, (pa.DataType, np.dtype, type)
        ):
            raise TypeError(
                "DataType supports only PyArrow DataType, NumPy dtype, or Python type, but got: "
                f"{type(self._physical_dtype)}."
            )

    @classmethod
    def from_arrow(cls, arrow_type: pa.DataType) -> DataType:
        """The type that Arrow names so."""
        return cls(arrow_type)

    @classmethod
    def from_numpy(cls, numpy_dtype: Any) -> DataType:
        """The type that NumPy names so."""
        return cls(np.dtype(numpy_dtype))

    @classmethod
    def from_dtype(cls, dtype: Any) -> DataType | None:
        """The type of an Arrow, NumPy or Python type; None for None."""
        if dtype is None or isinstance(dtype, DataType):
            return dtype
        if isinstance(dtype, (pa.DataType, type)):
            return cls(dtype)
        return cls.from_numpy(dtype)

    @classmethod
    def infer_dtype(cls, value: Any) -> DataType:
        """The type of a value."""
        if isinstance(value, np.ndarray):
            return cls.from_numpy(value.dtype)
        if isinstance(value, (np.generic,)):
            return cls.from_numpy(value.dtype)
        try:
            return cls.from_arrow(pa.infer_type([value]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return cls(type(value))

    def is_arrow_type(self) -> bool:
        """Whether it is Arrow's."""
        return isinstance(self._physical_dtype, pa.DataType)

    def is_numpy_type(self) -> bool:
        """Whether it is NumPy's."""
        return isinstance(self._physical_dtype, np.dtype)

    def is_python_type(self) -> bool:
        """Whether it is Python's."""
        return isinstance(self._physical_dtype, type)

    def to_arrow_dtype(self, values: list[Any] | None = None) -> pa.DataType:
        """As Arrow's.

        Args:
            values: Values to infer it from where the type alone says too little.
        """
        kind = self._physical_dtype
        if isinstance(kind, pa.DataType):
            return kind
        if isinstance(kind, np.dtype) and kind.kind != "O":
            return pa.from_numpy_dtype(kind)
        if values:
            return pa.infer_type(values)
        known = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_(), bytes: pa.binary()}
        return known.get(kind, pa.null())

    def to_numpy_dtype(self) -> np.dtype[Any]:
        """As NumPy's; object where it has none."""
        kind = self._physical_dtype
        if isinstance(kind, np.dtype):
            return kind
        try:
            known: np.dtype[Any] = np.dtype(kind.to_pandas_dtype() if isinstance(kind, pa.DataType) else kind)
            return known
        except (TypeError, NotImplementedError):
            return np.dtype(object)

    def to_python_type(self) -> type:
        """As Python's.

        Raises:
            ValueError: it is Arrow's or NumPy's.
        """
        if isinstance(self._physical_dtype, type):
            return self._physical_dtype
        raise ValueError(f"DataType {self} is not a Python type")

    def _arrow(self) -> pa.DataType:
        return self.to_arrow_dtype()

    def is_list_type(self) -> bool:
        """Whether its values are lists."""
        kind = self._arrow()
        return bool(_TYPES.is_list(kind) or _TYPES.is_large_list(kind) or _TYPES.is_fixed_size_list(kind))

    def is_tensor_type(self) -> bool:
        """Whether its values are tensors."""
        from skate.data.extensions.tensor import is_tensor_type

        return is_tensor_type(self._arrow())

    def is_struct_type(self) -> bool:
        """Whether its values have named fields."""
        return bool(_TYPES.is_struct(self._arrow()))

    def is_map_type(self) -> bool:
        """Whether its values map keys to items."""
        return bool(_TYPES.is_map(self._arrow()))

    def is_nested_type(self) -> bool:
        """Whether its values have parts."""
        return bool(_TYPES.is_nested(self._arrow()))

    def is_null_type(self) -> bool:
        """Whether all values are null."""
        return self.is_arrow_type() and bool(_TYPES.is_null(self._arrow()))

    def is_numerical_type(self) -> bool:
        """Whether its values are numbers."""
        kind = self._arrow()
        return self.is_integer_type() or self.is_floating_type() or bool(_TYPES.is_decimal(kind))

    def is_integer_type(self) -> bool:
        """Whether its values are integers."""
        return bool(_TYPES.is_integer(self._arrow()))

    def is_uint64_type(self) -> bool:
        """Whether its values are integers from 0 to 2⁶⁴ - 1."""
        return bool(_TYPES.is_uint64(self._arrow()))

    def is_floating_type(self) -> bool:
        """Whether its values are floating-point numbers."""
        return bool(_TYPES.is_floating(self._arrow()))

    def is_string_type(self) -> bool:
        """Whether its values are text."""
        kind = self._arrow()
        return bool(_TYPES.is_string(kind) or _TYPES.is_large_string(kind))

    def is_binary_type(self) -> bool:
        """Whether its values are bytes."""
        kind = self._arrow()
        return bool(
            _TYPES.is_binary(kind) or _TYPES.is_large_binary(kind) or _TYPES.is_fixed_size_binary(kind)
        )

    def is_boolean_type(self) -> bool:
        """Whether its values are true or false."""
        return bool(_TYPES.is_boolean(self._arrow()))

    def is_temporal_type(self) -> bool:
        """Whether its values are times, dates or spans of time."""
        return bool(_TYPES.is_temporal(self._arrow()))

    def is_of(self, category: TypeCategory | str) -> bool:
        """Whether it is of a kind.

        Raises:
            ValueError: there is no such kind.
        """
        kind = TypeCategory(category)
        if kind is TypeCategory.LARGE_LIST:
            return bool(_TYPES.is_large_list(self._arrow()))
        return bool(getattr(self, f"is_{kind.value}_type")())

    @classmethod
    def list(cls, value_type: DataType) -> DataType:
        """Lists of such values."""
        return cls(pa.list_(value_type.to_arrow_dtype()))

    @classmethod
    def large_list(cls, value_type: DataType) -> DataType:
        """Lists of such values, with 64-bit offsets."""
        return cls(pa.large_list(value_type.to_arrow_dtype()))

    @classmethod
    def fixed_size_list(cls, value_type: DataType, list_size: int) -> DataType:
        """Lists of such values, all of one length."""
        return cls(pa.list_(value_type.to_arrow_dtype(), list_size))

    @classmethod
    def struct(cls, fields: Any) -> DataType:
        """Values with named fields: pairs of a name and a type."""
        return cls(pa.struct([(name, kind.to_arrow_dtype()) for name, kind in fields]))

    @classmethod
    def map(cls, key_type: DataType, value_type: DataType) -> DataType:
        """Maps from such keys to such values."""
        return cls(pa.map_(key_type.to_arrow_dtype(), value_type.to_arrow_dtype()))

    @classmethod
    def tensor(cls, shape: tuple[int, ...], dtype: DataType) -> DataType:
        """Tensors of one shape."""
        from skate.data.extensions.tensor import ArrowTensorTypeV2

        return cls(ArrowTensorTypeV2(shape, dtype.to_arrow_dtype()))

    @classmethod
    def variable_shaped_tensor(cls, dtype: DataType, ndim: int = 2) -> DataType:
        """Tensors of different shapes."""
        from skate.data.extensions.tensor import ArrowVariableShapedTensorType

        return cls(ArrowVariableShapedTensorType(dtype.to_arrow_dtype(), ndim))

    @classmethod
    def temporal(cls, temporal_type: str, unit: str | None = None, tz: str | None = None) -> DataType:
        """Times: "timestamp", "date32", "date64", "time32", "time64" or "duration".

        Raises:
            ValueError: there is no such type.
        """
        makers: dict[str, Any] = {
            "timestamp": lambda: pa.timestamp(unit or "us", tz=tz),
            "date32": pa.date32,
            "date64": pa.date64,
            "time32": lambda: pa.time32(unit or "s"),
            "time64": lambda: pa.time64(unit or "us"),
            "duration": lambda: pa.duration(unit or "us"),
        }
        if temporal_type not in makers:
            raise ValueError(f"Invalid temporal_type '{temporal_type}': it must be one of {sorted(makers)}.")
        return cls(makers[temporal_type]())

    def __repr__(self) -> str:
        kind = self._physical_dtype
        if isinstance(kind, pa.DataType):
            return f"DataType({kind})"
        name = kind.__name__ if isinstance(kind, type) else kind
        return f"DataType({'numpy' if isinstance(kind, np.dtype) else 'python'}:{name})"

    __str__ = __repr__


def _add_plain_types() -> None:
    """`DataType.int64()` and the like: a class method for each Arrow type without parameters."""
    names = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    names += ["float32", "float64", "string", "binary", "bool"]
    for name in names:
        arrow = pa.bool_() if name == "bool" else getattr(pa, name)()

        def make(cls: type[DataType], arrow: pa.DataType = arrow) -> DataType:
            return cls(arrow)

        make.__name__ = name
        make.__doc__ = f"Arrow's {arrow}."
        setattr(DataType, name, classmethod(make))


_add_plain_types()

__all__ = ["DataType", "TypeCategory"]
