"""A small class trainable, for trying out what runs trials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from skate.tune import registry as _registry
from skate.tune.trainable.trainable import Trainable as _Trainable

MOCK_TRAINABLE_NAME = "mock_trainable"
MOCK_ERROR_KEY = "mock_error"


class MyTrainableClass(_Trainable):
    """Reports a learning curve. With `mock_error` in its configuration it fails at its second step, once."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin at zero."""
        self._sleep_time = config.get("sleep", 0)
        self._mock_error = config.get(MOCK_ERROR_KEY, False)
        self._persistent_error = config.get("persistent_error", False)
        self.timestep = 0
        self.restored = False

    def step(self) -> dict[str, Any]:
        """Go on by one."""
        if self._mock_error and self.timestep > 0 and (self._persistent_error or not self.restored):
            raise RuntimeError("Failing")
        self.timestep += 1
        return {"episode_reward_mean": 10 * self.timestep, "timestep": self.timestep}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write how far it is."""
        Path(checkpoint_dir, "checkpoint").write_text(str(self.timestep))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from there."""
        self.timestep = int(Path(os.fspath(checkpoint), "checkpoint").read_text())
        self.restored = True


def register_mock_trainable() -> None:
    """Register it under its name."""
    _registry.register_trainable(MOCK_TRAINABLE_NAME, MyTrainableClass)


__all__ = ["MOCK_ERROR_KEY", "MOCK_TRAINABLE_NAME", "MyTrainableClass", "register_mock_trainable"]
