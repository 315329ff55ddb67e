"""The stopper that never stops."""

from __future__ import annotations

from typing import Any

from skate.tune.stopper.stopper import Stopper

__all__ = [
    "NoopStopper",
]


class NoopStopper(Stopper):
    """Never stops."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No."""
        return False

    def stop_all(self) -> bool:
        """No."""
        return False
