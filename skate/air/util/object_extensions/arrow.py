"""The type of columns of Python objects in Arrow, where earlier versions had it."""

from skate.data.extensions.objects import ArrowPythonObjectType

__all__ = ["ArrowPythonObjectType"]
