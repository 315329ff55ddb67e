"""What Dask stores for a ref: a pickled value or error, with its buffers and the names of the refs inside."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from skate import exceptions
from skate.core import serialize
from skate.core.ref import BYTES, ERROR, ObjectRef

MANY = 7
"""Kind of a blob whose `data` is a list of blobs: the results of a task with several."""

Name = tuple[str, int]
"""A ref or an actor by kind and key: ("ref", 17), ("actor", 4)."""


class Blob:
    """A value as it is stored and sent. Never changed once made.

    Attributes:
        kind: BYTES (a value), ERROR (an exception) or MANY.
        data: The pickle; for MANY a list of blobs.
        buffers: The pickle's out-of-band buffers.
        nested: The refs and actors inside.
    """

    __slots__ = ("buffers", "data", "kind", "nested")

    def __init__(
        self, kind: int, data: Any, buffers: Sequence[Any] = (), nested: Sequence[Name] = ()
    ) -> None:
        self.kind = kind
        self.data = data
        self.buffers = buffers
        self.nested = nested

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        buffers = [pickle.PickleBuffer(buffer) for buffer in self.buffers]
        return Blob, (self.kind, self.data, buffers, tuple(self.nested))

    def is_error(self) -> bool:
        """Whether it stands for an exception, or one among several results does."""
        return self.kind == ERROR or (self.kind == MANY and any(part.kind == ERROR for part in self.data))

    def inside(self) -> list[Name]:
        """The refs and actors inside, in all parts."""
        if self.kind == MANY:
            return [name for part in self.data for name in part.nested]
        return list(self.nested)

    def size(self) -> int:
        """Bytes of data."""
        if self.kind == MANY:
            return sum(part.size() for part in self.data)
        return len(self.data) + sum(memoryview(buffer).nbytes for buffer in self.buffers)

    def __sizeof__(self) -> int:
        return 100 + self.size()  # what Dask counts as the memory that a result takes

    def value(self) -> Any:
        """The value, or the exception; arrays are read-only views of the buffers."""
        if not self.buffers:
            return serialize.unpack(self.data)
        return serialize.unpack([self.data, *(memoryview(buffer).toreadonly() for buffer in self.buffers)])


def names_of(items: Sequence[Any]) -> tuple[Name, ...]:
    """Refs and actor states by name."""
    return tuple(
        (
            "ref" if isinstance(item, ObjectRef) else "actor",
            item._key if isinstance(item, ObjectRef) else item.key,
        )
        for item in items
    )


def blob_of(value: Any) -> Blob:
    """Pickle `value`.

    Raises:
        TypeError, …: it can't be pickled.
    """
    return as_blob(BYTES, serialize.pack(value))


def as_blob(kind: int, packed: serialize.Packed) -> Blob:
    """A blob of what was pickled. Buffers are copied, for their owner may change them before they are sent."""
    return Blob(kind, packed.data, [bytes(buffer) for buffer in packed.buffers], names_of(packed.nested))


def error_blob(error: BaseException) -> Blob:
    """An exception of ours as a blob."""
    return as_blob(ERROR, serialize.pack(error))


def raised(blob: Blob) -> BaseException:
    """The exception that an ERROR blob stands for, as users see it."""
    try:
        error: BaseException = blob.value()
    except Exception as failure:
        return exceptions.RaySystemError(
            f"the task's exception can't be unpickled here: {type(failure).__name__}: {failure}. Is the module that defines it "
            "importable in this process?"
        )
    return error.as_instanceof_cause() if isinstance(error, exceptions.RayTaskError) else error


def infrastructure(error: Any) -> BaseException:
    """What Dask, or the way to it, has failed with, as an error of ours."""
    if isinstance(error, exceptions.RayError):
        return error
    return exceptions.RaySystemError(f"Dask could not run it: {type(error).__name__}: {error}")
