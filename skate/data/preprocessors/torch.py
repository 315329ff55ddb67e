"""Transforms of torchvision, applied to columns of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data.interop import require_module
from skate.data.preprocessor import SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas


class TorchVisionPreprocessor(SerializablePreprocessorBase):
    """Applies a transform to each image, or to batches of them.

    Args:
        columns: The columns of images.
        transform: Takes an array or tensor, and returns a tensor.
        output_columns: Their names in the result; default: the same.
        batched: Whether the transform takes whole batches.
    """

    columns: list[str]
    output_columns: list[str]
    transform_fn: Callable[[Any], Any]
    batched: bool

    _is_fittable = False
    _identifier = "io.ray.preprocessors.torchvision_preprocessor"

    def __init__(
        self,
        columns: list[str],
        transform: Callable[[Any], Any],
        output_columns: list[str] | None = None,
        batched: bool = False,
    ) -> None:
        self.columns = columns
        self.output_columns = output_names(columns, output_columns)
        self.transform_fn = transform
        self.batched = batched

    @property
    def torchvision_transform(self) -> Callable[[Any], Any]:
        """The transform."""
        return self.transform_fn

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(columns={self.columns}, output_columns={self.output_columns}, "
            f"transform={self.transform_fn!r})"
        )

    def _apply(self, value: Any) -> np.ndarray[Any, Any]:
        torch = require_module("torch")
        try:
            result = self.transform_fn(value)
        except TypeError:  # transforms such as Normalize take tensors only
            result = self.transform_fn(torch.as_tensor(np.array(value)))
        if isinstance(result, torch.Tensor):
            return np.asarray(result.numpy())
        if isinstance(result, np.ndarray):
            return result
        raise ValueError(f"The transform returned {type(result)}: it must return a tensor or an array.")

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        made: dict[str, list[Any]] = {}
        for column, out in zip(self.columns, self.output_columns, strict=True):
            images = [np.asarray(image) for image in df[column]]
            made[out] = (
                list(self._apply(np.stack(images))) if self.batched else [self._apply(i) for i in images]
            )
        for out, values in made.items():
            df[out] = values
        return df


__all__ = ["TorchVisionPreprocessor"]
