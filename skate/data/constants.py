"""Names that stand for something in batches."""

# The column of a batch that is one array, and has no names.
TENSOR_COLUMN_NAME = "__value__"

__all__ = ["TENSOR_COLUMN_NAME"]
