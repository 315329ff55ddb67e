"""Checkpoints that know the framework whose model they hold."""

from __future__ import annotations

import base64
import tempfile
from typing import Any

import cloudpickle

from skate.air._checkpoint import Checkpoint

__all__ = [
    "FrameworkCheckpoint",
    "new_directory",
]

_PREPROCESSOR = "preprocessor_pkl"


class FrameworkCheckpoint(Checkpoint):
    """A checkpoint with a model of one framework, and perhaps the preprocessor that its inputs need.

    Any checkpoint can be read as one: `TorchCheckpoint(path)`, or `TorchCheckpoint(checkpoint.path, checkpoint.filesystem)`.
    """

    MODEL_FILENAME = ""

    def get_preprocessor(self) -> Any:
        """The preprocessor that was kept with the model, or None."""
        text = self.get_metadata().get(_PREPROCESSOR)
        return None if text is None else cloudpickle.loads(base64.b64decode(text))

    def set_preprocessor(self, preprocessor: Any) -> None:
        """Keep a preprocessor with the model, in place of what was there.

        Args:
            preprocessor: A `skate.data.preprocessor.Preprocessor`, fitted.
        """
        text = base64.b64encode(cloudpickle.dumps(preprocessor)).decode("ascii")
        self.update_metadata({_PREPROCESSOR: text})


def new_directory() -> str:
    """A new temporary directory for a checkpoint; it is the caller's to remove."""
    return tempfile.mkdtemp(prefix="checkpoint_")
