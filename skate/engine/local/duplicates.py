"""Lines that several workers print alike: the first is shown, the others are counted. Pure: it is told the time."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping

WINDOW = 5.0
"""Seconds for which lines are counted before the count is told."""
_MOST = 10_000
"""Patterns that are remembered at once."""
_LONGEST = 4096
"""Characters of a line beyond which it is taken to have no like."""
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")
_DIGITS = {ord(digit): None for digit in "0123456789"}
"""What `_NUMBERS` removes from a line without hexadecimal numbers, much quicker."""
_SEVERAL = -1
_HINT = " (Lines that several workers print are shown once. Set RAY_DEDUP_LOGS=0 to see all of them.)"

Line = tuple[str, int, str]
"""(who printed it, the worker's pid, the line with its end)"""


class _Pattern:
    """Lines that differ in numbers only."""

    __slots__ = ("count", "last", "only", "since")

    def __init__(self, source: int, since: float) -> None:
        self.only = source
        """The worker that alone has printed them, or `_SEVERAL`."""
        self.since = since
        self.count = 0
        """Lines that have not been shown."""
        self.last: Line = ("", 0, "")


class Duplicates:
    """One stream of all workers.

    Args:
        window: Seconds between counts of the same line.
        always: A regular expression; lines that contain it are always shown.
        never: A regular expression; lines that contain it are never shown, unless `always` says otherwise.
    """

    def __init__(self, window: float = WINDOW, always: str = "", never: str = "") -> None:
        self._window = window
        self._always = re.compile(always) if always else None
        self._never = re.compile(never) if never else None
        self._patterns: OrderedDict[str, _Pattern] = OrderedDict()
        self._hinted = False
        self._waiting = 0

    def feed(self, name: str, pid: int, lines: Iterable[str], now: float) -> list[Line]:
        """Lines of one worker. Returns what is to be shown, counts that are due included."""
        shown: list[Line] = []
        patterns = self._patterns
        for line in lines:
            if self._always is not None and self._always.search(line):
                shown.append((name, pid, line))
                continue
            if self._never is not None and self._never.search(line):
                continue
            if len(line) > _LONGEST:
                shown.append((name, pid, line))
                continue
            key = line.translate(_DIGITS) if "0x" not in line else _NUMBERS.sub("", line)
            pattern = patterns.get(key)
            if pattern is None:
                patterns[key] = _Pattern(pid, now)
                shown.append((name, pid, line))
            elif pattern.only == pid:
                shown.append((name, pid, line))  # what one worker alone repeats is its program's own doing
            else:
                pattern.only = _SEVERAL
                self._waiting += not pattern.count
                pattern.count += 1
                pattern.last = (name, pid, line)
        while len(patterns) > _MOST:
            shown += self._tell(patterns.popitem(last=False)[1])
        return shown + self.tick(now)

    def tick(self, now: float) -> list[Line]:
        """What is to be shown of what was counted for as long as the window."""
        shown: list[Line] = []
        while self._patterns:
            key, pattern = next(iter(self._patterns.items()))
            if now - pattern.since < self._window:
                break
            del self._patterns[key]
            counting = pattern.count > 1
            shown += self._tell(pattern)
            if counting:
                pattern.since, pattern.count = now, 0
                self._patterns[key] = pattern
        return shown

    def flush(self) -> list[Line]:
        """What is to be shown now that nothing more will come."""
        shown = [line for pattern in self._patterns.values() for line in self._tell(pattern)]
        self._patterns.clear()
        return shown

    def due(self) -> float | None:
        """The time at which `tick` should be called; None if nothing waits to be told."""
        if not self._waiting:
            return None
        return next(p.since + self._window for p in self._patterns.values() if p.count)

    def _tell(self, pattern: _Pattern) -> list[Line]:
        name, pid, line = pattern.last
        self._waiting -= bool(pattern.count)
        if pattern.count > 1:
            hint = "" if self._hinted else _HINT
            self._hinted = True
            line = f"{line.rstrip()} [repeated {pattern.count}x across cluster]{hint}\n"
        return [(name, pid, line)] if pattern.count else []


def from_environment(environ: Mapping[str, str] = os.environ) -> Duplicates | None:
    """As Ray's variables RAY_DEDUP_LOGS, …_AGG_WINDOW_S, …_ALLOW_REGEX and …_SKIP_REGEX say; None if all lines are to be shown.

    Raises:
        ValueError: one of them is not what it must be.
    """
    if environ.get("RAY_DEDUP_LOGS", "1").lower() not in ("1", "true"):
        return None
    try:
        return Duplicates(
            float(environ.get("RAY_DEDUP_LOGS_AGG_WINDOW_S", WINDOW)),
            environ.get("RAY_DEDUP_LOGS_ALLOW_REGEX", ""),
            environ.get("RAY_DEDUP_LOGS_SKIP_REGEX", ""),
        )
    except (ValueError, re.error) as error:
        raise ValueError(
            f"RAY_DEDUP_LOGS_AGG_WINDOW_S must be seconds, and RAY_DEDUP_LOGS_ALLOW_REGEX and …_SKIP_REGEX regular expressions: {error}."
        ) from error
