"""How a tensor travels in a compiled graph, as a value."""

from __future__ import annotations

from typing import Any

from skate.dag.tensor_transport import TensorTransport
from skate.experimental.util.types import Device


class TorchTensorType:
    """How a tensor travels, and where it lies on arrival.

    Args:
        transport: "auto", "cpu" or "shm" (shared memory), or "accelerator", which no graph can be compiled with.
        device: Where it lies on arrival; `Device.DEFAULT` leaves it where it is.
        _static_shape: Accepted for Ray's programs.
        _direct_return: Accepted for Ray's programs.

    Raises:
        ValueError: an unknown transport or device.
    """

    AUTO = "auto"
    CPU = "cpu"
    ACCELERATOR = "accelerator"

    device: Device
    static_shape: bool
    direct_return: bool
    communicator_id: str | None

    def __init__(
        self,
        transport: Any = AUTO,
        device: Device | str = Device.DEFAULT,
        _static_shape: bool = False,
        _direct_return: bool = False,
    ) -> None:
        self.device = Device(device)
        self.static_shape = _static_shape
        self.direct_return = _direct_return
        self.communicator_id = None
        self._communicator = None if isinstance(transport, str) else transport
        name = transport if isinstance(transport, str) else self.ACCELERATOR
        TensorTransport.checked("shm" if name == self.CPU else name, self.device.value)
        self.transport = name

    def requires_accelerator(self) -> bool:
        """Whether it travels from GPU to GPU."""
        return self.transport == self.ACCELERATOR

    def get_custom_communicator(self) -> Any:
        """The communicator that was given as `transport`, if one was."""
        return self._communicator

    def set_communicator_id(self, group_id: str) -> None:
        """Say which group of members it travels in."""
        self.communicator_id = group_id

    def __repr__(self) -> str:
        return f"TorchTensorType(transport={self.transport!r}, device={self.device})"


__all__ = ["TorchTensorType"]
