"""A checkpoint with a model of PyTorch."""

from __future__ import annotations

import os
from typing import Any

from skate.train._framework_checkpoint import FrameworkCheckpoint as _FrameworkCheckpoint
from skate.train._framework_checkpoint import new_directory as _new_directory

__all__ = [
    "TorchCheckpoint",
]


class TorchCheckpoint(_FrameworkCheckpoint):
    """A checkpoint with a module of PyTorch, or with its `state_dict`, in one file."""

    MODEL_FILENAME = "model.pt"

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any], *, preprocessor: Any = None) -> TorchCheckpoint:
        """Save a model's weights to a new temporary directory.

        Args:
            state_dict: What `model.state_dict()` gives.
            preprocessor: What the model's inputs went through, kept with it.

        Returns:
            The checkpoint.
        """
        return cls._saved(state_dict, preprocessor)

    @classmethod
    def from_model(cls, model: Any, *, preprocessor: Any = None) -> TorchCheckpoint:
        """Save a whole model to a new temporary directory.

        Args:
            model: The module; one that data-parallel training has wrapped is saved as what it wraps.
            preprocessor: What the model's inputs went through, kept with it.

        Returns:
            The checkpoint.
        """
        from torch.nn.parallel import DataParallel, DistributedDataParallel

        if isinstance(model, (DistributedDataParallel, DataParallel)):
            model = model.module
        return cls._saved(model, preprocessor)

    @classmethod
    def _saved(cls, value: Any, preprocessor: Any) -> TorchCheckpoint:
        import torch

        directory = _new_directory()
        torch.save(value, os.path.join(directory, cls.MODEL_FILENAME))
        checkpoint = cls(directory)
        if preprocessor is not None:
            checkpoint.set_preprocessor(preprocessor)
        return checkpoint

    def get_model(self, model: Any = None) -> Any:
        """The model, on the CPU.

        Args:
            model: Where weights alone were saved, a model of the same shape, which takes them.

        Returns:
            The model. One that was passed but not needed is left as it is.

        Raises:
            ValueError: weights alone were saved, and no model was passed for them.
        """
        import torch

        with self.as_directory() as directory:
            # A whole module is a pickle, and so is whatever else the program has saved: it is trusted like its own code.
            saved = torch.load(
                os.path.join(directory, self.MODEL_FILENAME), map_location="cpu", weights_only=False
            )
        if isinstance(saved, torch.nn.Module):
            return saved
        if model is None:
            raise ValueError(
                "Attempting to load torch model from a state_dict, but no `model` was provided: pass a model of the "
                "same shape, get_model(model), which takes the weights."
            )
        weights = (
            saved.get("model", saved)
            if isinstance(saved, dict) and isinstance(saved.get("model"), dict)
            else saved
        )
        if any(name.startswith("module.") for name in weights):
            weights = {name.removeprefix("module."): value for name, value in weights.items()}
        model.load_state_dict(weights)
        return model
