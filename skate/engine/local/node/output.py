r"""What workers print, on its way to the drivers: whole lines, with who printed them.

A worker marks its stream with a line `MARK name \\n` when the task that prints changes; the mark is taken out here.
"""

from __future__ import annotations

MARK = b"\x01\x02task\x02"
_LONGEST = 1 << 20
_LONGEST_MARK = 4096


class Lines:
    """Cuts one stream of one worker into lines."""

    __slots__ = ("_rest", "name")

    def __init__(self) -> None:
        self._rest = b""
        self.name = ""

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """(name, whole lines) in order. A line that is longer than a megabyte is passed on in pieces."""
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) > _LONGEST:
            # A piece of a line; not of a mark, which must stay whole to be known.
            mark = data.rfind(MARK[:1])
            end = mark if mark >= 0 and len(data) - mark < _LONGEST_MARK else len(data)
        self._rest = data[end:]
        return self._cut(data[:end])

    def close(self) -> list[tuple[str, bytes]]:
        """What is left when the stream ends: perhaps a last line without its newline."""
        rest, self._rest = self._rest, b""
        return self._cut(rest + b"\n") if rest else []

    def _cut(self, data: bytes) -> list[tuple[str, bytes]]:
        if MARK not in data:
            return [(self.name, data)] if data else []
        pieces: list[tuple[str, bytes]] = []
        start = 0
        while (mark := data.find(MARK, start)) >= 0:
            end = data.find(b"\n", mark)
            if end < 0:
                break
            if mark > start:
                pieces.append((self.name, data[start:mark]))
            self.name = data[mark + len(MARK) : end].decode(errors="replace")
            start = end + 1
        if start < len(data):
            pieces.append((self.name, data[start:]))
        return pieces
