"""Tensor columns in Arrow, under the module name that programs written for Ray import."""

from skate.data.connector_settings import FixedShapeTensorFormat
from skate.data.extensions.objects import ArrowConversionError
from skate.data.extensions.tensor import (
    ArrowTensorArray,
    ArrowTensorScalar,
    ArrowTensorType,
    ArrowTensorTypeV2,
    ArrowVariableShapedTensorArray,
    ArrowVariableShapedTensorType,
    FixedShapeTensorType,
    create_arrow_fixed_shape_tensor_type,
    get_arrow_extension_fixed_shape_tensor_types,
    get_arrow_extension_tensor_types,
    get_arrow_extension_variable_shape_tensor_types,
)

__all__ = [
    "ArrowConversionError",
    "ArrowTensorArray",
    "ArrowTensorScalar",
    "ArrowTensorType",
    "ArrowTensorTypeV2",
    "ArrowVariableShapedTensorArray",
    "ArrowVariableShapedTensorType",
    "FixedShapeTensorFormat",
    "FixedShapeTensorType",
    "create_arrow_fixed_shape_tensor_type",
    "get_arrow_extension_fixed_shape_tensor_types",
    "get_arrow_extension_tensor_types",
    "get_arrow_extension_variable_shape_tensor_types",
]
