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
        """A column of objects is one in pandas too."""
        return np.dtype(object)

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ArrowPythonObjectType:
        return cls()

    def __arrow_ext_class__(self) -> type[ArrowPythonObjectArray]:
        return ArrowPythonObjectArray

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrowPythonObjectType, ()


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

    def to_numpy(self, zero_copy_only: bool = True) -> np.ndarray[Any, Any]:
        """The objects, as an array of objects."""
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


__all__ = ["ArrowPythonObjectArray", "ArrowPythonObjectType", "object_to_pylist", "register"]
