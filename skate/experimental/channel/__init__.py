"""How values travel between the actors of a compiled graph: what a program can say about it.

communicator.py        what a communicator of one's own must be
torch_tensor_type.py   how a tensor travels, and to which device
"""

from __future__ import annotations

from skate.experimental.channel.communicator import Communicator
from skate.experimental.channel.torch_tensor_type import TorchTensorType

__all__ = ["Communicator", "TorchTensorType"]
