"""Which requests a replica has begun, in files that are still there when its process is gone.

A request that a dead replica never began can be made again on another one; one that it had begun may have done its work, and may not.
A router numbers the requests that it sends to a replica. The replica notes the number of each before it begins it, in a mapped file for
each router: a store into memory, which the kernel keeps whatever becomes of the process. A file is a ring: its places are used again.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import OrderedDict

_PLACES = 4096
_BYTES = 8 * _PLACES
_MOST_OPEN = 256


class Journal:
    """What a replica has begun.

    Args:
        folder: A folder of the replica's own; it is made.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self._rings: OrderedDict[str, memoryview] = OrderedDict()

    def begin(self, router: str, number: int) -> None:
        """Note that the request with this number, from 1 on, begins."""
        ring = self._rings.get(router)
        if ring is None:
            ring = self._open(router)
        ring[number % _PLACES] = number

    def _open(self, router: str) -> memoryview:
        if len(self._rings) >= _MOST_OPEN:
            self._rings.popitem(last=False)  # the file stays, and is opened again when its router sends more
        descriptor = os.open(os.path.join(self._folder, router), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, _BYTES)
            ring = memoryview(mmap.mmap(descriptor, _BYTES)).cast("Q")
        finally:
            os.close(descriptor)
        self._rings[router] = ring
        return ring


def has_begun(folder: str, router: str, number: int) -> bool:
    """Whether a replica that has died may have begun a request.

    True also when that can't be told: its files are on another machine, are gone, or its place in the ring was used again.
    """
    if not os.path.isdir(folder):
        return True
    try:
        with open(os.path.join(folder, router), "rb") as file:
            file.seek(8 * (number % _PLACES))
            noted = file.read(8)
    except FileNotFoundError:
        return False  # it has begun nothing of this router's
    return len(noted) < 8 or struct.unpack("=Q", noted)[0] >= number
