"""Columns of Python objects, under the module names that programs written for Ray import."""
