"""Tensors as pandas columns: an extension type, so that a Series of tensors has their shape and type, and computes on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.lib.mixins import NDArrayOperatorsMixin
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype

from skate.data.extensions.tensor import (
    ArrowTensorArray,
    ArrowVariableShapedTensorArray,
    as_objects,
    tensor_to_numpy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

_NAME = re.compile(r"^(?:TensorDtype|numpy\.ndarray)\(shape=(\(.*\)), dtype=(.+)\)$")


@register_extension_dtype
class TensorDtype(ExtensionDtype):
    """The type of a pandas column of tensors.

    Args:
        shape: The shape of each row's tensor; None for a size that differs from row to row.
        dtype: The type of an element.

    Example:
        >>> import numpy as np
        >>> from skate.data.extensions import TensorArray, TensorDtype
        >>> TensorArray(np.zeros((3, 2, 2))).dtype == TensorDtype((2, 2), np.float64)
        True
    """

    base: ExtensionDtype | None = None
    _metadata = ("_shape", "_element")

    def __init__(self, shape: Sequence[int | None], dtype: Any) -> None:
        self._shape: tuple[Any, ...] = tuple(shape)
        self._element: np.dtype[Any] = np.dtype(dtype)

    # What a row of a column is; `Any` because pandas' own type wants a variable.
    type: ClassVar[Any] = property(lambda self: TensorArrayElement)

    @property
    def element_dtype(self) -> np.dtype[Any]:
        """The type of an element of a tensor."""
        return self._element

    @property
    def element_shape(self) -> tuple[Any, ...]:
        """The shape of each row's tensor."""
        return self._shape

    @property
    def is_variable_shaped(self) -> bool:
        """Whether shapes differ from row to row."""
        return any(size is None for size in self._shape)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The type as text, which pandas takes for the type."""
        return f"TensorDtype(shape={self._shape}, dtype={self._element})"

    @property
    def _is_boolean(self) -> bool:
        return bool(self._element.kind == "b")

    @classmethod
    def construct_from_string(cls, string: str) -> TensorDtype:
        """The type of a text like `name`.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(string, str):
            raise TypeError(f"'construct_from_string' expects a string, got {type(string)}")
        found = _NAME.match(string)
        if found is None:
            raise TypeError(
                f"Cannot construct a '{cls.__name__}' from '{string}'; expected a string like "
                "'TensorDtype(shape=(1, 2, 3), dtype=int64)'."
            )
        sizes = [size.strip() for size in found[1].strip("()").split(",") if size.strip()]
        try:
            return cls([None if size == "None" else int(size) for size in sizes], np.dtype(found[2]))
        except (ValueError, TypeError) as error:
            raise TypeError(f"Cannot construct a '{cls.__name__}' from '{string}': {error}") from error

    @classmethod
    def construct_array_type(cls) -> type[TensorArray]:
        """`TensorArray`."""
        return TensorArray

    def __from_arrow__(self, array: pa.Array | pa.ChunkedArray) -> TensorArray:
        return TensorArray(tensor_to_numpy(array))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


class _Operators(NDArrayOperatorsMixin):
    """Arithmetic, comparison and functions of NumPy, on the tensors inside."""

    _tensor: np.ndarray[Any, Any]

    def _wrapped(self, result: Any) -> Any:
        raise NotImplementedError

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(each, (pd.Series, pd.Index, pd.DataFrame)) for each in inputs):
            return NotImplemented  # pandas takes them apart, and comes back with what is inside
        out = options.get("out", ())
        if out:
            options["out"] = tuple(each._tensor if isinstance(each, _Operators) else each for each in out)
        plain = [each._tensor if isinstance(each, _Operators) else each for each in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        whole = (
            self
            if isinstance(self, TensorArray)
            else next((each for each in inputs if isinstance(each, TensorArray)), self)
        )
        if isinstance(result, tuple):
            return tuple(whole._wrapped(each) for each in result)
        return whole._wrapped(result)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The type of the array inside."""
        kind: np.dtype[Any] = self._tensor.dtype
        return kind

    @property
    def numpy_ndim(self) -> int:
        """The number of dimensions of the array inside."""
        return self._tensor.ndim

    @property
    def numpy_shape(self) -> tuple[int, ...]:
        """The shape of the array inside."""
        shape: tuple[int, ...] = self._tensor.shape
        return shape

    @property
    def numpy_size(self) -> int:
        """The number of elements of the array inside."""
        return self._tensor.size


class TensorArrayElement(_Operators):
    """The tensor of one row of a pandas column.

    Args:
        values: The tensor.
    """

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self._tensor = np.asarray(values)

    def _wrapped(self, result: Any) -> Any:
        return TensorArrayElement(result)

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """The tensor."""
        return self._tensor

    def __array__(self, dtype: Any = None, **options: Any) -> np.ndarray[Any, Any]:
        return np.asarray(self._tensor, dtype, **options)

    def __float__(self) -> float:
        return float(self._tensor)

    def __int__(self) -> int:
        return int(self._tensor)

    def __complex__(self) -> complex:
        return complex(self._tensor)

    def __str__(self) -> str:
        return str(self._tensor)

    def __repr__(self) -> str:
        return repr(self._tensor)


class TensorArray(_Operators, ExtensionArray):
    """A pandas column of tensors.

    Args:
        values: An array, whose first dimension is the rows, or a sequence of arrays. Their shapes may differ.

    Raises:
        TypeError: it is neither.

    Example:
        >>> import numpy as np, pandas
        >>> from skate.data.extensions import TensorArray
        >>> column = pandas.Series(TensorArray(np.array([[1, 2], [3, 4]])))
        >>> (column * 10).to_numpy()
        array([[10, 20],
               [30, 40]])
    """

    SUPPORTED_REDUCERS: ClassVar[dict[str, Callable[..., Any]]] = {
        "sum": np.sum,
        "all": np.all,
        "any": np.any,
        "min": np.min,
        "max": np.max,
        "mean": np.mean,
        "median": np.median,
        "prod": np.prod,
        "std": np.std,
        "var": np.var,
    }

    # pandas asks it before its own operators.
    __array_priority__ = 1100

    def __init__(self, values: Any) -> None:
        if isinstance(values, TensorArray):
            values = values._tensor
        elif isinstance(values, TensorArrayElement):
            values = values._tensor[np.newaxis]
        elif isinstance(values, (pd.Series, pd.Index)):
            values = values.to_numpy()
        if isinstance(values, np.ndarray) and values.dtype != object:
            self._tensor = values if values.ndim else values.reshape(1)
            return
        if not isinstance(values, (list, tuple, np.ndarray)):
            raise TypeError(
                f"Expected a numpy.ndarray or sequence of numpy.ndarray, but received {values!r} of type "
                f"{type(values).__name__} instead."
            )
        self._tensor = _stacked([_plain(value) for value in values])

    def _wrapped(self, result: Any) -> Any:
        if isinstance(result, np.ndarray) and result.ndim:
            return TensorArray(result)
        return TensorArrayElement(result)

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> TensorArray:
        if isinstance(dtype, TensorDtype) and not dtype.is_variable_shaped:
            shape = dtype.element_shape
            rows = [np.full(shape, np.nan) if _is_hole(row) else _plain(row) for row in scalars]
            stacked = np.stack(rows) if rows else np.empty((0, *shape))
            return cls(
                stacked if any(_is_hole(row) for row in scalars) else stacked.astype(dtype.element_dtype)
            )
        made = cls(scalars)
        return made.copy() if copy else made

    @property
    def dtype(self) -> TensorDtype:
        """Shape and type of the rows."""
        if not self.is_variable_shaped:
            return TensorDtype(self._tensor.shape[1:], self._tensor.dtype)
        first = self._tensor[0]
        return TensorDtype((None,) * first.ndim, first.dtype)

    @property
    def is_variable_shaped(self) -> bool:
        """Whether shapes differ from row to row."""
        return self._tensor.dtype == object and len(self._tensor) > 0

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        if self.is_variable_shaped:
            return sum(row.nbytes for row in self._tensor)
        return self._tensor.nbytes

    @property
    def _is_boolean(self) -> bool:
        return self.dtype._is_boolean

    def __len__(self) -> int:
        return len(self._tensor)

    def __iter__(self) -> Iterator[TensorArrayElement]:
        return (TensorArrayElement(row) for row in self._tensor)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, TensorArrayElement):
            return any(np.array_equal(row, item._tensor) for row in self._tensor)
        return bool(super().__contains__(item))

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            return TensorArrayElement(self._tensor[item])
        if isinstance(item, TensorArray):
            item = np.asarray(item)
        return TensorArray(self._tensor[pd.api.indexers.check_array_indexer(self, item)])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = pd.api.indexers.check_array_indexer(self, key)
        if isinstance(value, (list, tuple, pd.Series)):
            value = TensorArray(list(value))
        plain = value._tensor if isinstance(value, _Operators) else value
        if self.is_variable_shaped and isinstance(key, (int, np.integer)):
            self._tensor[key] = np.asarray(plain)
        else:
            self._tensor[key] = plain

    def isna(self) -> np.ndarray[Any, Any]:
        """Which rows have an element that is not a number."""
        if self.is_variable_shaped:
            return np.array([bool(pd.isna(row).any()) for row in self._tensor], dtype=bool)
        if self._tensor.dtype.kind not in "fcmM" or not self._tensor.size:
            return np.zeros(len(self), dtype=bool)
        holes: np.ndarray[Any, Any] = np.isnan(self._tensor).reshape(len(self), -1).any(axis=1)
        return holes

    def take(self, indices: Any, allow_fill: bool = False, fill_value: Any = None) -> TensorArray:
        """The rows at these places.

        Args:
            indices: The places; with `allow_fill`, -1 stands for a row that is missing.
            allow_fill: Whether -1 is no place from the end.
            fill_value: The elements of missing rows; None for NaN.

        Raises:
            ValueError: with `allow_fill`, a place is below -1.
        """
        places = np.asarray(indices, dtype=np.intp)
        if not allow_fill:
            return TensorArray(self._tensor.take(places, axis=0))
        if (places < -1).any():
            raise ValueError(f"a place is below -1: {places.min()}.")
        missing = places == -1
        if not missing.any():
            return TensorArray(self._tensor.take(places, axis=0))
        filler = np.nan if _is_hole(fill_value) else np.asarray(fill_value)
        kind = np.result_type(self._tensor.dtype, np.asarray(filler).dtype)
        out = np.empty((len(places), *self._tensor.shape[1:]), dtype=kind)
        out[~missing] = self._tensor[places[~missing]]
        out[missing] = filler
        return TensorArray(out)

    def copy(self) -> TensorArray:
        """The same in memory of its own."""
        return TensorArray(self._tensor.copy())

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[TensorArray]) -> TensorArray:
        parts = [part._tensor for part in to_concat]
        if all(part.dtype != object and part.shape[1:] == parts[0].shape[1:] for part in parts):
            return cls(np.concatenate(parts))
        return cls(as_objects(row for part in parts for row in part))

    def _reduce(self, name: str, *, skipna: bool = True, keepdims: bool = False, **options: Any) -> Any:
        reducer = self.SUPPORTED_REDUCERS.get(name)
        if reducer is None:
            raise NotImplementedError(f"'{name}' aggregate not implemented for columns of tensors.")
        known = {key: value for key, value in options.items() if key in ("ddof",) and name in ("std", "var")}
        result = reducer(self._tensor, axis=0, **known)
        return TensorArray(result[np.newaxis]) if keepdims else TensorArrayElement(result)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Whether all elements are true, of all rows or along an axis."""
        result = self._tensor.all(axis=axis, out=out, keepdims=keepdims)
        return result if axis is None else self._wrapped(result)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Whether an element is true, of all rows or along an axis."""
        result = self._tensor.any(axis=axis, out=out, keepdims=keepdims)
        return result if axis is None else self._wrapped(result)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The column in another type: tensors of it, or what pandas has of that name."""
        kind: Any = pd.api.types.pandas_dtype(dtype)
        if isinstance(kind, TensorDtype):
            same = kind == self.dtype
            values = (
                self._tensor if same or self.is_variable_shaped else self._tensor.astype(kind.element_dtype)
            )
            return TensorArray(values.copy() if copy else values)
        if kind == np.dtype(object):
            return as_objects(self)
        if pd.api.types.is_string_dtype(kind):
            texts: Any = [str(row) for row in self._tensor]
            return pd.array(texts, dtype=kind)
        return TensorArray(self._tensor.astype(kind, copy=copy))

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default
    ) -> np.ndarray[Any, Any]:
        """The tensors as one array; one of arrays, if their shapes differ.

        Args:
            dtype: The type of the elements.
            copy: Whether it has to be memory of its own.
            na_value: What takes the place of NaN.
        """
        values = self._tensor if dtype is None else self._tensor.astype(dtype)
        if na_value is not pd.api.extensions.no_default:
            values = values.copy()
            values[self.isna()] = na_value
        return values.copy() if copy and values is self._tensor else values

    def __array__(self, dtype: Any = None, **options: Any) -> np.ndarray[Any, Any]:
        if dtype is not None and np.dtype(dtype) == np.dtype(object):
            return as_objects(self._tensor)  # a row an item: what pandas wants to print
        return np.asarray(self._tensor, dtype, **options)

    def __arrow_array__(self, type: Any = None) -> pa.ExtensionArray:
        if self.is_variable_shaped:
            return ArrowVariableShapedTensorArray.from_numpy(self._tensor)
        return ArrowTensorArray.from_numpy(self._tensor)

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return _on_one_line

    def _values_for_factorize(self) -> tuple[np.ndarray[Any, Any], Any]:
        return as_objects(tuple(np.ravel(row).tolist()) for row in self._tensor), None

    def __repr__(self) -> str:
        return repr(self._tensor)

    def __str__(self) -> str:
        return str(self._tensor)


def column_needs_tensor_extension(s: pd.Series) -> bool:
    """Whether a pandas column of objects has arrays in it, and could be one of tensors."""
    return bool(s.dtype == object and not s.empty and isinstance(s.iloc[0], np.ndarray))


def _on_one_line(row: Any) -> str:
    return np.array2string(np.asarray(row), separator=", ").replace("\n", "")


def _plain(value: Any) -> Any:
    return value._tensor if isinstance(value, _Operators) else np.asarray(value)


def _is_hole(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _stacked(rows: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The rows as one array, if their shapes allow it."""
    if not rows:
        return np.empty(0)
    if all(row.shape == rows[0].shape for row in rows):
        return np.stack(rows)
    return as_objects(rows)


__all__ = ["TensorArray", "TensorArrayElement", "TensorDtype", "column_needs_tensor_extension"]
