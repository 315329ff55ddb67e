"""The layout of the shared-memory file: which ranges are taken. Pure.

First fit by address: freed memory is used again before fresh memory, as pages that have been touched take a copy at memory speed.
Ranges are whole pages; large ones start on huge-page boundaries.
"""

from __future__ import annotations

from bisect import bisect_left, insort

PAGE = 4096
HUGE = 2 << 20


class Allocator:
    """Ranges of `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._free: list[tuple[int, int]] = [(0, capacity)] if capacity else []
        self._taken: dict[int, int] = {}
        self.dirty = 0
        """Bytes from the start that have ever been handed out."""

    def allocate(self, size: int) -> int | None:
        """The offset of a new range of at least `size` bytes; None if no gap is long enough."""
        length = -(-max(size, 1) // PAGE) * PAGE
        align = HUGE if length >= HUGE else PAGE
        for index, (start, gap) in enumerate(self._free):
            offset = -(-start // align) * align
            head = offset - start
            if gap - head < length:
                continue
            rest = gap - head - length
            pieces = ([(start, head)] if head else []) + ([(offset + length, rest)] if rest else [])
            self._free[index : index + 1] = pieces
            self._taken[offset] = length
            self.used += length
            self.dirty = max(self.dirty, offset + length)
            return offset
        return None

    def free(self, offset: int) -> None:
        """Give a range back."""
        length = self._taken.pop(offset)
        self.used -= length
        index = bisect_left(self._free, (offset, 0))
        start = offset
        if index < len(self._free) and self._free[index][0] == offset + length:
            length += self._free.pop(index)[1]
        if index > 0 and sum(self._free[index - 1]) == offset:
            start, before = self._free.pop(index - 1)
            length += before
        insort(self._free, (start, length))

    def gaps(self) -> list[tuple[int, int]]:
        """(offset, length) of the free ranges below `dirty`: memory that could be given back to the system."""
        return [(start, min(gap, self.dirty - start)) for start, gap in self._free if start < self.dirty]
