"""A checkpoint with a model of Keras."""

from __future__ import annotations

import os
import shutil
from typing import Any

from skate.train._framework_checkpoint import FrameworkCheckpoint as _FrameworkCheckpoint
from skate.train._framework_checkpoint import new_directory as _new_directory

__all__ = [
    "TensorflowCheckpoint",
]


class TensorflowCheckpoint(_FrameworkCheckpoint):
    """A checkpoint with a model of Keras in one file."""

    MODEL_FILENAME = "model.keras"
    _FILENAME = "model_filename"

    @classmethod
    def from_model(cls, model: Any, *, preprocessor: Any = None) -> TensorflowCheckpoint:
        """Save a model to a new temporary directory.

        Args:
            model: The Keras model.
            preprocessor: What the model's inputs went through, kept with it.

        Returns:
            The checkpoint.
        """
        directory = _new_directory()
        model.save(os.path.join(directory, cls.MODEL_FILENAME))
        return cls._made(directory, cls.MODEL_FILENAME, preprocessor)

    @classmethod
    def from_h5(cls, file_path: str, *, preprocessor: Any = None) -> TensorflowCheckpoint:
        """Copy a model in a file of HDF5 to a new temporary directory.

        Args:
            file_path: The file.
            preprocessor: What the model's inputs went through, kept with it.

        Returns:
            The checkpoint.

        Raises:
            ValueError: the file's name does not end in ".h5", or there is none.
        """
        if not os.path.isfile(file_path) or not file_path.endswith(".h5"):
            raise ValueError(
                f"Please provide a h5 file path: {file_path!r} is none. It must exist, and end in .h5."
            )
        directory = _new_directory()
        name = os.path.basename(file_path)
        shutil.copy(file_path, os.path.join(directory, name))
        return cls._made(directory, name, preprocessor)

    @classmethod
    def from_saved_model(cls, dir_path: str, *, preprocessor: Any = None) -> TensorflowCheckpoint:
        """Copy a model in TensorFlow's SavedModel format to a new temporary directory.

        Args:
            dir_path: The directory of the model.
            preprocessor: What the model's inputs went through, kept with it.

        Returns:
            The checkpoint.
        """
        directory = _new_directory()
        shutil.copytree(dir_path, directory, dirs_exist_ok=True)
        return cls._made(directory, ".", preprocessor)

    @classmethod
    def _made(cls, directory: str, name: str, preprocessor: Any) -> TensorflowCheckpoint:
        checkpoint = cls(directory)
        checkpoint.update_metadata({cls._FILENAME: name})
        if preprocessor is not None:
            checkpoint.set_preprocessor(preprocessor)
        return checkpoint

    def get_model(self) -> Any:
        """The model: a Keras model, or what `tf.saved_model.load` gives of a SavedModel."""
        name = self.get_metadata().get(self._FILENAME, self.MODEL_FILENAME)
        with self.as_directory() as directory:
            path = os.path.normpath(os.path.join(directory, name))
            if os.path.isdir(path):
                import tensorflow as tf

                return tf.saved_model.load(path)
            import keras

            return keras.models.load_model(path)
