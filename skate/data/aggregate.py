"""Aggregate functions: what `Dataset.aggregate` and `GroupedData.aggregate` compute for each group.

The functions of the API are computed by the native engine (`_native`). They can also be computed block by block, as
a user's own subclass of `AggregateFnV2` is: `aggregate_block` for each block of a group, `combine` for two results, and
`finalize` at the end.
"""

from skate.data.aggregates.base import (
    AccumulatorType,
    AggOutputType,
    AggregateFn,
    AggregateFnV2,
    SupportsRichComparisonType,
    VectorizedAggregateFnV2,
)
from skate.data.aggregates.collected import (
    ApproximateQuantile,
    ApproximateTopK,
    AsList,
    CountDistinct,
    MissingValuePercentage,
    Quantile,
    Unique,
    ValueCounter,
    ZeroPercentage,
)
from skate.data.aggregates.scalar import AbsMax, Count, Max, Mean, Min, Std, Sum
from skate.data.block import AggType, KeyType, T, U

__all__ = [
    "AbsMax",
    "AccumulatorType",
    "AggOutputType",
    "AggType",
    "AggregateFn",
    "AggregateFnV2",
    "ApproximateQuantile",
    "ApproximateTopK",
    "AsList",
    "Count",
    "CountDistinct",
    "KeyType",
    "Max",
    "Mean",
    "Min",
    "MissingValuePercentage",
    "Quantile",
    "Std",
    "Sum",
    "SupportsRichComparisonType",
    "T",
    "U",
    "Unique",
    "ValueCounter",
    "VectorizedAggregateFnV2",
    "ZeroPercentage",
]
