"""How preprocessors are written down: pickles with their kind in front, and as text, as earlier versions did."""

from __future__ import annotations

import abc
import base64
import enum
import pickle
from typing import Any

import cloudpickle


class HandlerFormatName(enum.Enum):
    """The formats."""

    CLOUDPICKLE = "cloudpickle"
    PICKLE = "pickle"


class SerializationHandler(abc.ABC):
    """Base of the formats."""

    @abc.abstractmethod
    def serialize(self, data: Any) -> str | bytes:
        """A preprocessor, or what is known of one, in this format."""

    @abc.abstractmethod
    def deserialize(self, serialized: Any) -> Any:
        """What was written. It runs code: read only what you have written."""

    @abc.abstractmethod
    def get_magic_bytes(self) -> str | bytes:
        """What stands in front."""

    def strip_magic_bytes(self, serialized: Any) -> Any:
        """What comes after what stands in front."""
        return serialized.removeprefix(self.get_magic_bytes())


class CloudPickleSerializationHandler(SerializationHandler):
    """Bytes: a pickle after `CPKL:`."""

    MAGIC_CLOUDPICKLE = b"CPKL:"

    def serialize(self, data: Any) -> bytes:
        """A preprocessor as bytes."""
        return self.MAGIC_CLOUDPICKLE + bytes(cloudpickle.dumps(data))

    def deserialize(self, serialized: bytes) -> Any:
        """What was written.

        Raises:
            ValueError: it is no such bytes.
        """
        if not isinstance(serialized, bytes):
            raise ValueError(f"Expected bytes of the CloudPickle format, got {type(serialized)}.")
        if not serialized.startswith(self.MAGIC_CLOUDPICKLE):
            raise ValueError(
                f"Invalid CloudPickle magic bytes: {serialized[:10]!r}; they must be {self.MAGIC_CLOUDPICKLE!r}."
            )
        return cloudpickle.loads(self.strip_magic_bytes(serialized))

    def get_magic_bytes(self) -> bytes:
        """`CPKL:`."""
        return self.MAGIC_CLOUDPICKLE


class PickleSerializationHandler(SerializationHandler):
    """Text: a pickle in base 64."""

    def serialize(self, data: Any) -> str:
        """A preprocessor as text."""
        return base64.b64encode(pickle.dumps(data)).decode("ascii")

    def deserialize(self, serialized: str) -> Any:
        """What was written."""
        return pickle.loads(base64.b64decode(serialized))

    def get_magic_bytes(self) -> str:
        """Nothing."""
        return ""


__all__ = [
    "CloudPickleSerializationHandler",
    "HandlerFormatName",
    "PickleSerializationHandler",
    "SerializationHandler",
]
