"""The types of tensor columns in Arrow, where earlier versions had them."""

from skate.data.extensions.tensor import ArrowTensorType, ArrowTensorTypeV2, ArrowVariableShapedTensorType

__all__ = ["ArrowTensorType", "ArrowTensorTypeV2", "ArrowVariableShapedTensorType"]
