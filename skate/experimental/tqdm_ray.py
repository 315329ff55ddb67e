"""Progress bars of tasks and actors, shown together where the driver runs.

A bar in a worker reports its state in a line of its output, which the driver shows as a bar instead of printing it. Bars are drawn with
the library tqdm; where that is not installed they count, and nothing is drawn.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from skate import _at_shutdown, _is_driver, is_initialized

RAY_TQDM_MAGIC = "__ray_tqdm_magic_token__"
"""Begins a line of output that is a bar's state."""

try:
    import tqdm.auto as real_tqdm
except ImportError:
    real_tqdm = None


class tqdm:  # noqa: N801 -- its name in the API
    """A progress bar, for tasks, actors and drivers alike.

    Args:
        iterable: What to loop over; or None, and `update` tells how far the work is.
        desc: Stands before the bar.
        total: How many units there are; default: as many as `iterable` has, if it has a length.
        unit: What is counted.
        position: Accepted for programs of tqdm: bars find their own places.
        flush_interval_s: Seconds between two reports, at least; default: 1.

    Example:
        >>> from skate.experimental import tqdm_ray
        >>> bar = tqdm_ray.tqdm(total=10, desc="rows")
        >>> bar.update(4)
        >>> bar.n, bar.total
        (4, 10)
        >>> bar.close()
    """

    DEFAULT_FLUSH_INTERVAL_SECONDS = 1.0

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        *,
        flush_interval_s: float | None = None,
    ) -> None:
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self._iterable = iterable
        self._desc = desc or ""
        self._total = total
        self._unit = unit or "it"
        self._interval = self.DEFAULT_FLUSH_INTERVAL_SECONDS if flush_interval_s is None else flush_interval_s
        self._uuid = uuid.uuid4().hex
        self._x = 0
        self._closed = False
        self._reported = 0.0
        self._report(force=True)

    @property
    def n(self) -> int:
        """How many units are done."""
        return self._x

    @property
    def total(self) -> int | None:
        """How many units there are."""
        return self._total

    @total.setter
    def total(self, value: int | None) -> None:
        self._total = value

    def set_description(self, desc: str) -> None:
        """Set what stands before the bar."""
        self._desc = desc
        self._report()

    def update(self, n: int = 1) -> None:
        """Note that `n` more units are done."""
        self._x += n
        self._report()

    def refresh(self) -> None:
        """Show the bar as it is now."""
        self._report(force=True)

    def close(self) -> None:
        """Show the bar for the last time."""
        if not self._closed:
            self._closed = True
            self._report(force=True)

    def _report(self, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._reported < self._interval:
            return
        self._reported = now
        state = {
            "uuid": self._uuid,
            "x": self._x,
            "desc": self._desc,
            "total": self._total,
            "unit": self._unit,
            "pid": os.getpid(),
            "closed": self._closed,
        }
        if _is_driver() or not is_initialized():
            instance().process_state_update(state)
        else:
            sys.stdout.write(f"{RAY_TQDM_MAGIC}{json.dumps(state)}\n")
            sys.stdout.flush()

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise ValueError("tqdm() without an iterable can't be looped over: pass one, or call update().")
        try:
            for item in self._iterable:
                yield item
                self.update(1)
        finally:
            self.close()


def _drawn() -> Any:
    """A bar of tqdm, without the thread that it starts to redraw bars: reports come often enough."""

    class Drawn(real_tqdm.tqdm):  # type: ignore[misc]
        monitor_interval = 0

    return Drawn


class _BarManager:
    """The bars that this driver shows, by their uuids."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: dict[str, Any] = {}

    def process_state_update(self, state: dict[str, Any]) -> None:
        """Show a bar's new state."""
        with self._lock:
            if real_tqdm is None:
                return
            bar = self._bars.get(state["uuid"])
            if bar is None:
                if state["closed"] and not state["x"]:
                    return
                desc = self._described(state)
                bar = _drawn()(desc=desc, total=state["total"], unit=state["unit"], leave=False)
                self._bars[state["uuid"]] = bar
            bar.total = state["total"]
            bar.set_description_str(self._described(state), refresh=False)
            bar.update(state["x"] - bar.n)
            bar.refresh()
            if state["closed"]:
                bar.close()
                del self._bars[state["uuid"]]

    @staticmethod
    def _described(state: dict[str, Any]) -> str:
        return state["desc"] if state["pid"] == os.getpid() else f"(pid={state['pid']}) {state['desc']}"

    def hide_bars(self) -> None:
        """Take the bars off the screen, to print something."""
        with self._lock:
            for bar in self._bars.values():
                bar.clear()

    def unhide_bars(self) -> None:
        """Show them again."""
        with self._lock:
            for bar in self._bars.values():
                bar.refresh()

    def close_all(self) -> None:
        """End all bars: their session has ended."""
        with self._lock:
            for bar in self._bars.values():
                bar.close()
            self._bars.clear()


_manager = _BarManager()
_at_shutdown(_manager.close_all)


def instance() -> _BarManager:
    """The bars of this process."""
    return _manager


def safe_print(*args: Any, **kwargs: Any) -> None:
    """`print` without bars in its way."""
    _manager.hide_bars()
    try:
        builtins.print(*args, **kwargs)  # noqa: T201 -- that is what it is for
    finally:
        _manager.unhide_bars()


def show_line(line: str) -> None:
    """Show the bar whose state a worker has printed."""
    _manager.process_state_update(json.loads(line.split(RAY_TQDM_MAGIC, 1)[1]))


__all__ = ["RAY_TQDM_MAGIC", "instance", "safe_print", "show_line", "tqdm"]
