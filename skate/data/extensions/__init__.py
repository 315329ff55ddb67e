"""Extension types of columns that hold tensors or Python objects: Arrow's, and pandas', which are loaded when asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from skate.data.connector_settings import FixedShapeTensorFormat
from skate.data.extensions.objects import (
    ArrowConversionError,
    ArrowPythonObjectArray,
    ArrowPythonObjectScalar,
    ArrowPythonObjectType,
)
from skate.data.extensions.tensor import (
    ArrowTensorArray,
    ArrowTensorScalar,
    ArrowTensorType,
    ArrowTensorTypeV2,
    ArrowVariableShapedTensorArray,
    ArrowVariableShapedTensorType,
    FixedShapeTensorType,
    create_arrow_fixed_shape_tensor_type,
    get_arrow_extension_tensor_types,
)

if TYPE_CHECKING:
    from skate.data.extensions.pandas_object import PythonObjectArray, PythonObjectDtype
    from skate.data.extensions.pandas_tensor import (
        TensorArray,
        TensorArrayElement,
        TensorDtype,
        column_needs_tensor_extension,
    )

_OF_PANDAS = {
    "PythonObjectArray": "pandas_object",
    "PythonObjectDtype": "pandas_object",
    "TensorArray": "pandas_tensor",
    "TensorArrayElement": "pandas_tensor",
    "TensorDtype": "pandas_tensor",
    "column_needs_tensor_extension": "pandas_tensor",
}

__all__ = [
    "ArrowConversionError",
    "ArrowPythonObjectArray",
    "ArrowPythonObjectScalar",
    "ArrowPythonObjectType",
    "ArrowTensorArray",
    "ArrowTensorScalar",
    "ArrowTensorType",
    "ArrowTensorTypeV2",
    "ArrowVariableShapedTensorArray",
    "ArrowVariableShapedTensorType",
    "FixedShapeTensorFormat",
    "FixedShapeTensorType",
    "PythonObjectArray",
    "PythonObjectDtype",
    "TensorArray",
    "TensorArrayElement",
    "TensorDtype",
    "column_needs_tensor_extension",
    "create_arrow_fixed_shape_tensor_type",
    "get_arrow_extension_tensor_types",
]


def __getattr__(name: str) -> Any:
    if name in _OF_PANDAS:
        return getattr(importlib.import_module(f"skate.data.extensions.{_OF_PANDAS[name]}"), name)
    raise AttributeError(f"module 'skate.data.extensions' has no attribute {name!r}")
