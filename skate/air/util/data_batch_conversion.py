"""Batches between pandas and other formats, where earlier versions had this."""

from __future__ import annotations

import enum

from skate.data.util.data_batch_conversion import (
    BatchFormat,
    convert_batch_type_to_pandas,
    convert_pandas_to_batch_type,
)
from skate.data.util.data_batch_conversion import (
    _convert_batch_type_to_numpy as _convert_batch_type_to_numpy,
)
from skate.data.util.data_batch_conversion import (
    _convert_batch_type_to_pandas as _convert_batch_type_to_pandas,
)
from skate.data.util.data_batch_conversion import (
    _convert_pandas_to_batch_type as _convert_pandas_to_batch_type,
)


class BlockFormat(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What a block is in memory."""

    PANDAS = "pandas"
    ARROW = "arrow"
    SIMPLE = "simple"


__all__ = [
    "BatchFormat",
    "BlockFormat",
    "convert_batch_type_to_pandas",
    "convert_pandas_to_batch_type",
]
