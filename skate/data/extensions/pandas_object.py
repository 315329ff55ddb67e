"""Python objects as pandas columns: an extension type that keeps pandas from guessing at what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype

from skate.data.extensions.objects import ArrowPythonObjectArray
from skate.data.extensions.tensor import as_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


@register_extension_dtype
class PythonObjectDtype(ExtensionDtype):
    """The type of a pandas column of Python objects."""

    type: ClassVar[Any] = object
    name = "python_object()"

    @classmethod
    def construct_from_string(cls, string: str) -> PythonObjectDtype:
        """The type of the text `python_object()`.

        Raises:
            TypeError: it is another text.
        """
        if string != cls.name:
            raise TypeError(f"Cannot construct a '{cls.__name__}' from '{string}': it is written {cls.name}.")
        return cls()

    @classmethod
    def construct_array_type(cls) -> type[PythonObjectArray]:
        """`PythonObjectArray`."""
        return PythonObjectArray

    def __from_arrow__(self, array: pa.Array | pa.ChunkedArray) -> PythonObjectArray:
        return PythonObjectArray(array.to_pylist())


class PythonObjectArray(ExtensionArray):
    """A pandas column of Python objects.

    Args:
        values: The objects.
    """

    def __init__(self, values: Any) -> None:
        self.values = (
            values if isinstance(values, np.ndarray) and values.dtype == object else as_objects(values)
        )

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> PythonObjectArray:
        return cls(list(scalars))

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[PythonObjectArray]) -> PythonObjectArray:
        return cls(np.concatenate([part.values for part in to_concat]))

    @property
    def dtype(self) -> PythonObjectDtype:
        """Its type."""
        return PythonObjectDtype()

    @property
    def nbytes(self) -> int:
        """Bytes of the references to the objects."""
        return int(self.values.nbytes)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            return self.values[item]
        return PythonObjectArray(self.values[pd.api.indexers.check_array_indexer(self, item)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[pd.api.indexers.check_array_indexer(self, key)] = value

    def isna(self) -> np.ndarray[Any, Any]:
        """Which rows are None or NaN."""
        return np.asarray(pd.isna(self.values))

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> PythonObjectArray:
        """The objects at these places; with `allow_fill`, -1 stands for `fill_value`."""
        taken = pd.api.extensions.take(self.values, indices, allow_fill=allow_fill, fill_value=fill_value)
        return PythonObjectArray(taken)

    def copy(self) -> PythonObjectArray:
        """Another column of the same objects."""
        return PythonObjectArray(self.values.copy())

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default
    ) -> np.ndarray[Any, Any]:
        """The objects as an array.

        Args:
            dtype: Its type; default: of objects.
            copy: Whether it has to be memory of its own.
            na_value: What takes the place of None and NaN.
        """
        values = self.values
        if copy or na_value is not pd.api.extensions.no_default:
            values = values.copy()
        if na_value is not pd.api.extensions.no_default:
            values[self.isna()] = na_value
        return values if dtype is None else values.astype(dtype)

    def __arrow_array__(self, type: Any = None) -> pa.ExtensionArray:
        return ArrowPythonObjectArray.from_objects(list(self.values))


__all__ = ["PythonObjectArray", "PythonObjectDtype"]
