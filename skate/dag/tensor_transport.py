"""How a compiled graph moves tensors between actors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_TRANSPORTS = ("auto", "shm", "nccl", "accelerator")
_DEVICES = ("default", "cpu", "gpu", "cuda")


@dataclass(frozen=True)
class TensorTransport:
    """What `with_tensor_transport` was asked for, checked."""

    transport: str
    device: str

    @classmethod
    def checked(cls, transport: Any, device: Any) -> TensorTransport:
        """One with these values.

        Raises:
            ValueError: one of them is unknown.
        """
        name = transport.lower() if isinstance(transport, str) else transport
        if name is None:
            name = "auto"
        if name not in _TRANSPORTS:
            raise ValueError(
                f"Invalid transport type: {transport!r}. `transport` must be one of {', '.join(_TRANSPORTS)}."
            )
        if device not in _DEVICES:
            raise ValueError(f"Invalid device: {device!r}. `device` must be one of {', '.join(_DEVICES)}.")
        return cls(name, "gpu" if device == "cuda" else device)


__all__ = ["TensorTransport"]
