"""Columns of Python objects in Arrow, under the module name that programs written for Ray import."""

from skate.data.extensions.objects import (
    ArrowPythonObjectArray,
    ArrowPythonObjectScalar,
    ArrowPythonObjectType,
)

__all__ = ["ArrowPythonObjectArray", "ArrowPythonObjectScalar", "ArrowPythonObjectType"]
