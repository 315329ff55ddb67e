"""Columns of Python objects in pandas, under the module name that programs written for Ray import."""

from skate.data.extensions.pandas_object import PythonObjectArray, PythonObjectDtype

__all__ = ["PythonObjectArray", "PythonObjectDtype"]
