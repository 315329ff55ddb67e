"""Arrow extension types of columns that hold tensors or Python objects."""

from skate.data.extensions.objects import ArrowPythonObjectArray, ArrowPythonObjectType
from skate.data.extensions.tensor import (
    ArrowTensorArray,
    ArrowTensorType,
    ArrowTensorTypeV2,
    ArrowVariableShapedTensorArray,
    ArrowVariableShapedTensorType,
    get_arrow_extension_tensor_types,
)

__all__ = [
    "ArrowPythonObjectArray",
    "ArrowPythonObjectType",
    "ArrowTensorArray",
    "ArrowTensorType",
    "ArrowTensorTypeV2",
    "ArrowVariableShapedTensorArray",
    "ArrowVariableShapedTensorType",
    "get_arrow_extension_tensor_types",
]
