"""Any Python object as an Arrow column: each row is a pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable


class ArrowPythonObjectType(pa.ExtensionType):
    """The type of a column whose rows are Python objects that Arrow has no type for."""

    def __init__(self) -> None:
        super().__init__(pa.large_binary(), "ray.data.arrow_pickled_object")

    def to_pandas_dtype(self) -> Any:
        """The type of the same column in pandas."""
        from skate.data.extensions.pandas_object import PythonObjectDtype

        return PythonObjectDtype()

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ArrowPythonObjectType:
        return cls()

    def __arrow_ext_class__(self) -> type[ArrowPythonObjectArray]:
        return ArrowPythonObjectArray

    def __arrow_ext_scalar_class__(self) -> type[ArrowPythonObjectScalar]:
        return ArrowPythonObjectScalar

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrowPythonObjectType, ()


class ArrowPythonObjectScalar(pa.ExtensionScalar):
    """A row of a column of Python objects."""

    def as_py(self, **_options: Any) -> Any:
        """The object."""
        return None if self.value is None else cloudpickle.loads(self.value.as_py())


class ArrowConversionError(Exception):
    """Values have no type in Arrow.

    Args:
        data_str: The values as text; a long one is cut.
        column_name: The column.
        pa_type: The type that was tried.
    """

    MAX_DATA_STR_LEN = 200

    def __init__(
        self, data_str: str, column_name: str | None = None, pa_type: pa.DataType | None = None
    ) -> None:
        if len(data_str) > self.MAX_DATA_STR_LEN:
            data_str = data_str[: self.MAX_DATA_STR_LEN] + "..."
        where = "" if column_name is None else f" in column {column_name!r}"
        tried = "" if pa_type is None else f" (type tried: {pa_type})"
        super().__init__(f"Error converting data to Arrow{where}{tried}: {data_str}")


class ArrowPythonObjectArray(pa.ExtensionArray):
    """A column of Python objects."""

    @staticmethod
    def from_objects(objects: Iterable[Any]) -> pa.ExtensionArray:
        """A column of these objects; None is a null.

        Raises:
            TypeError: one of them can't be pickled.
        """
        pickles = [None if item is None else cloudpickle.dumps(item) for item in objects]
        return pa.ExtensionArray.from_storage(ArrowPythonObjectType(), pa.array(pickles, pa.large_binary()))

    def to_pylist(self, **_options: Any) -> list[Any]:
        """The objects."""
        return [None if data is None else cloudpickle.loads(data) for data in self.storage.to_pylist()]

    def to_numpy(self, zero_copy_only: bool = False, writable: bool = False) -> np.ndarray[Any, Any]:
        """The objects, as an array of objects; the arguments are accepted for Arrow's sake."""
        items = self.to_pylist()
        out = np.empty(len(items), dtype=object)
        out[:] = items
        return out


def object_to_pylist(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The objects of a column."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [item for chunk in chunks for item in chunk.to_pylist()]


def register() -> None:
    """Make Arrow know the type, once a process."""
    try:
        pa.register_extension_type(ArrowPythonObjectType())
    except pa.ArrowKeyError:  # by an earlier import of this module, or by Ray in the same process
        return


register()


__all__ = [
    "ArrowConversionError",
    "ArrowPythonObjectArray",
    "ArrowPythonObjectScalar",
    "ArrowPythonObjectType",
    "object_to_pylist",
    "register",
]
