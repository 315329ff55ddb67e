"""What callbacks of training loops share: which of the loop's metrics are reported, and under which names."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from skate.air._checkpoint import Checkpoint
from skate.air.session import report

Names = str | list[str] | Mapping[str, str] | None


def choose_metrics(names: Names, found: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics to report.

    Args:
        names: The loop's names of the metrics; or these by the names to report them under; None: all.
        found: The loop's metrics.

    Returns:
        Values by the names to report them under.
    """
    if not names:
        return dict(found)
    if isinstance(names, str):
        names = [names]
    wanted = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
    return {title: found[name] for title, name in wanted.items() if name in found}


@contextmanager
def _saved(save: Callable[[str], None] | None) -> Iterator[Checkpoint | None]:
    if save is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        save(directory)
        yield Checkpoint.from_directory(directory)


def report_with(metrics: dict[str, Any], save: Callable[[str], None] | None = None) -> None:
    """Report metrics, with a checkpoint if there is something that saves one.

    Args:
        metrics: Values by name.
        save: Called with a directory to save into.
    """
    with _saved(save) as checkpoint:
        report(metrics, checkpoint=checkpoint)
