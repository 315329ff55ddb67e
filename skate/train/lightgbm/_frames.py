"""Frames in the types that LightGBM reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def normalize_pandas_for_lightgbm(df: pd.DataFrame) -> pd.DataFrame:
    """Give numbers and truth values that are of Arrow's types pandas' own types for them, which LightGBM reads.

    Args:
        df: The frame, for example of `Dataset.to_pandas()`; it stays as it is.

    Returns:
        A frame in which what is missing is missing still. Columns of other types are as they were.
    """
    import pandas as pd

    types: dict[Any, str] = {}
    for name, each in df.dtypes.items():
        dtype: Any = each
        if not isinstance(each, pd.ArrowDtype):
            continue
        if pd.api.types.is_bool_dtype(dtype):
            types[name] = "boolean"
        elif (
            dtype.kind in "iuf"
        ):  # numpy calls them int32, uint8, float32; pandas' own are Int32, UInt8, Float32
            types[name] = str(dtype.numpy_dtype).title().replace("Uint", "UInt")
    return df.astype(types)
