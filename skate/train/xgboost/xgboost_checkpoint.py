"""A checkpoint with a model of XGBoost."""

from __future__ import annotations

import os
from typing import Any

from skate.train._framework_checkpoint import FrameworkCheckpoint as _FrameworkCheckpoint
from skate.train._framework_checkpoint import new_directory as _new_directory

__all__ = [
    "XGBoostCheckpoint",
]


class XGBoostCheckpoint(_FrameworkCheckpoint):
    """A checkpoint with a booster of XGBoost, as `RayTrainReportCallback` makes it."""

    MODEL_FILENAME = "model.ubj"

    @classmethod
    def from_model(
        cls, booster: Any, *, preprocessor: Any = None, path: str | None = None
    ) -> XGBoostCheckpoint:
        """Save a booster.

        Args:
            booster: The model.
            preprocessor: What the model's inputs went through, kept with it.
            path: The directory, which must exist; default: a new temporary one.

        Returns:
            The checkpoint.
        """
        directory = _new_directory() if path is None else path
        booster.save_model(os.path.join(directory, cls.MODEL_FILENAME))
        checkpoint = cls(directory)
        if preprocessor is not None:
            checkpoint.set_preprocessor(preprocessor)
        return checkpoint

    def get_model(self) -> Any:
        """The model, as an XGBoost booster."""
        import xgboost

        booster = xgboost.Booster()
        with self.as_directory() as directory:
            booster.load_model(os.path.join(directory, self.MODEL_FILENAME))
        return booster
