"""Identifiers as users see them: fixed-size byte strings with a hex form, as in Ray."""

from __future__ import annotations

import builtins
import os
from typing import ClassVar, Self


class BaseID:
    """A fixed-size binary identifier.

    Example:
        >>> JobID.from_int(1).hex()
        '01000000'
    """

    __slots__ = ("_bytes",)
    SIZE: ClassVar[int] = 16

    def __init__(self, binary: bytes) -> None:
        if not isinstance(binary, bytes):
            raise TypeError(f"Unsupported type: {type(binary)}, expected bytes.")
        if len(binary) != self.SIZE:
            raise ValueError(
                f"{type(self).__name__}: ID string needs to have length {self.SIZE}, got {len(binary)}."
            )
        self._bytes = bytes(binary)

    @classmethod
    def from_hex(cls, hex_id: str) -> Self:
        """The identifier whose hex form is `hex_id`."""
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_binary(cls, id_bytes: bytes) -> Self:
        """The identifier of these raw bytes."""
        return cls(id_bytes)

    @classmethod
    def from_random(cls) -> Self:
        """A new random identifier."""
        return cls(os.urandom(cls.SIZE))

    @classmethod
    def nil(cls) -> Self:
        """The identifier that names nothing."""
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def from_int(cls, value: int) -> Self:
        """The identifier that holds `value`, little-endian."""
        return cls(value.to_bytes(cls.SIZE, "little"))

    @classmethod
    def size(cls) -> int:
        """Length in bytes."""
        return cls.SIZE

    def is_nil(self) -> bool:
        """Whether this identifier names nothing."""
        return self._bytes == b"\xff" * self.SIZE

    def binary(self) -> bytes:
        """The raw bytes."""
        return self._bytes

    def hex(self) -> str:
        """The hex form."""
        return self._bytes.hex()

    def int(self) -> int:
        """The little-endian number that `from_int` stored."""
        return int.from_bytes(self._bytes, "little")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseID) and type(other) is type(self) and self._bytes == other._bytes

    def __lt__(self, other: BaseID) -> bool:
        return self._bytes < other._bytes

    def __hash__(self) -> builtins.int:
        return hash(self._bytes)

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self._bytes,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._bytes.hex()})"


class JobID(BaseID):
    """One driver's program."""

    __slots__ = ()
    SIZE = 4


class ActorID(BaseID):
    """One actor."""

    __slots__ = ()
    SIZE = 16


class TaskID(BaseID):
    """One task."""

    __slots__ = ()
    SIZE = 24


class NodeID(BaseID):
    """One node of the cluster."""

    __slots__ = ()
    SIZE = 28


class WorkerID(BaseID):
    """One worker process."""

    __slots__ = ()
    SIZE = 28


class UniqueID(BaseID):
    """An identifier of no particular kind."""

    __slots__ = ()
    SIZE = 28


class PlacementGroupID(BaseID):
    """One placement group."""

    __slots__ = ()
    SIZE = 18


class FunctionID(BaseID):
    """One exported function."""

    __slots__ = ()
    SIZE = 28


class ActorClassID(BaseID):
    """One exported actor class."""

    __slots__ = ()
    SIZE = 28
