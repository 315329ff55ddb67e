"""Tensor columns, under the module names that programs written for Ray import."""
