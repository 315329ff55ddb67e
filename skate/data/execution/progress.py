"""Progress on a terminal: a line for each stage, gone when it has ended. Nothing is drawn where nobody looks, or for quick work."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from skate.data.context import DataContext

if TYPE_CHECKING:
    from collections.abc import Callable

_QUIET_S = 0.5  # a stage shorter than this is not shown
_NAME = 100  # characters of a name that is not to be longer


def is_shown(context: DataContext | None = None) -> bool:
    """Whether progress is drawn: it is not turned off, and there is a terminal or a notebook."""
    context = context or DataContext.get_current()
    if not (context.enable_progress_bars and context.enable_operator_progress_bars):
        return False
    return "ipykernel" in sys.modules or bool(getattr(sys.stderr, "isatty", lambda: False)())


def set_progress_bars(enabled: bool) -> bool:
    """Turn progress bars of datasets that are made from now on on or off.

    Returns:
        Whether they were on.
    """
    context = DataContext.get_current()
    before, context.enable_progress_bars = context.enable_progress_bars, enabled
    return before


class StageBar:
    """The line of a stage.

    Args:
        name: The stage's.
        total: The rows that it will make, where that is known.
        clock: Tells seconds.
    """

    def __init__(self, name: str, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        context = DataContext.get_current()
        self._shown = is_shown(context)
        self._clock = clock
        self._due = clock() + _QUIET_S
        self._total = total
        cut = context.enable_progress_bar_name_truncation and len(name) > _NAME
        self._name = f"{name[: _NAME - 1]}…" if cut else name
        self._rows = 0
        self._bar: Any = None

    def update(self, rows: int) -> None:
        """Note that so many more rows are done."""
        if not self._shown:
            return
        self._rows += rows
        if self._bar is None:
            if self._clock() < self._due:
                return
            from skate.experimental import tqdm_ray

            self._bar = tqdm_ray.tqdm(desc=self._name, total=self._total, unit="row", flush_interval_s=0.1)
            rows = self._rows
        self._bar.update(rows)

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


__all__ = ["StageBar", "is_shown", "set_progress_bars"]
