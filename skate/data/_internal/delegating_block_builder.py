"""What makes a block of rows and blocks, under the module name that programs written for Ray import."""

from skate.data.block import BlockBuilder as DelegatingBlockBuilder

__all__ = ["DelegatingBlockBuilder"]
