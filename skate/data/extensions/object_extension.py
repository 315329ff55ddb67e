"""Columns of Python objects, under the module name that programs written for Ray import."""

from skate.data.extensions.objects import (
    ArrowPythonObjectArray,
    ArrowPythonObjectScalar,
    ArrowPythonObjectType,
)
from skate.data.extensions.pandas_object import PythonObjectArray, PythonObjectDtype

__all__ = [
    "ArrowPythonObjectArray",
    "ArrowPythonObjectScalar",
    "ArrowPythonObjectType",
    "PythonObjectArray",
    "PythonObjectDtype",
]
