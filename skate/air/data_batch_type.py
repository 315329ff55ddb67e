"""What a batch of data may be."""

from skate.data.collate_fn import DataBatchType

__all__ = ["DataBatchType"]
