"""Tensor columns in pandas, under the module name that programs written for Ray import."""

from skate.data.extensions.pandas_tensor import (
    TensorArray,
    TensorArrayElement,
    TensorDtype,
    column_needs_tensor_extension,
)

__all__ = ["TensorArray", "TensorArrayElement", "TensorDtype", "column_needs_tensor_extension"]
