"""What preprocessors learn with: statistics that are computed together, in one pass over the data; and hashing of values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skate.data.preprocessors.tokenizer import simple_split_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.aggregate import AggregateFnV2
    from skate.data.dataset import Dataset


def simple_hash(value: object, num_features: int) -> int:
    """A number below `num_features` for a value, the same in every process.

    Example:
        >>> from skate.data.preprocessors.utils import simple_hash
        >>> simple_hash("a", 10) == simple_hash("a", 10)
        True
    """
    return int(hashlib.sha256(str(value).encode()).hexdigest(), 16) % num_features


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class AggregateStatSpec:
    """An aggregation of one column.

    Attributes:
        stat_fn: The aggregation.
        post_process_fn: Applied to its result.
        column: The column.
    """

    stat_fn: AggregateFnV2[Any, Any]
    post_process_fn: Callable[[Any], Any]
    column: str


@dataclass(frozen=True)
class CallableStatSpec:
    """A function that computes statistics of several columns by itself.

    Attributes:
        stat_fn: Called for the statistics of a column, by its key.
        stat_key_fn: The key of a column.
        post_key_fn: The key under which its result is kept.
        post_process_fn: Applied to the result.
        columns: The columns.
    """

    stat_fn: Callable[[str], Any]
    stat_key_fn: Callable[[str], str]
    post_key_fn: Callable[[str], str]
    post_process_fn: Callable[[Any], Any]
    columns: list[str]


class StatComputationPlan:
    """The statistics that a preprocessor needs. `fit` computes them into `stats_`.

    Example:
        >>> import skate.data
        >>> from skate.data.aggregate import Mean
        >>> from skate.data.preprocessors.utils import StatComputationPlan
        >>> plan = StatComputationPlan()
        >>> plan.add_aggregator(aggregator_fn=Mean, columns=["id"], post_process_fn=int)
        >>> plan.compute(skate.data.range(3))
        {'mean(id)': 1}
    """

    def __init__(self) -> None:
        self._specs: list[AggregateStatSpec | CallableStatSpec] = []

    def reset(self) -> None:
        """Forget all of them."""
        self._specs.clear()

    def add_aggregator(
        self,
        *,
        aggregator_fn: Callable[[str], AggregateFnV2[Any, Any]],
        post_process_fn: Callable[[Any], Any] = _as_it_is,
        columns: list[str],
        batch_format: Any = None,
    ) -> None:
        """Aggregate columns.

        Args:
            aggregator_fn: Gives the aggregation of a column: a class such as `Mean`, or a function.
            post_process_fn: Applied to each result.
            columns: The columns.
            batch_format: Accepted for Ray's programs: results are values of Python.
        """
        for column in columns:
            self._specs.append(AggregateStatSpec(aggregator_fn(column), post_process_fn, column))

    def add_callable_stat(
        self,
        *,
        stat_fn: Callable[[str], Any],
        stat_key_fn: Callable[[str], str],
        post_key_fn: Callable[[str], str] | None = None,
        post_process_fn: Callable[[Any], Any] = _as_it_is,
        columns: list[str],
    ) -> None:
        """Compute statistics of columns by a function.

        Args:
            stat_fn: Called with a column's key for its statistics.
            stat_key_fn: The key of a column.
            post_key_fn: The key under which the result is kept; None for the same.
            post_process_fn: Applied to each result.
            columns: The columns.
        """
        self._specs.append(
            CallableStatSpec(stat_fn, stat_key_fn, post_key_fn or stat_key_fn, post_process_fn, columns)
        )

    def compute(self, dataset: Dataset) -> dict[str, Any]:
        """All statistics of a dataset: the aggregations in one pass."""
        stats: dict[str, Any] = {}
        aggregates = list(self)
        if aggregates:
            found = dataset.aggregate(*(spec.stat_fn for spec in aggregates)) or {}
            for spec in aggregates:
                stats[spec.stat_fn.name] = spec.post_process_fn(found[spec.stat_fn.name])
        for each in self._specs:
            if isinstance(each, CallableStatSpec):
                for column in each.columns:
                    result = each.stat_fn(each.stat_key_fn(column))
                    stats[each.post_key_fn(column)] = each.post_process_fn(result)
        return stats

    def has_custom_stat_fn(self) -> bool:
        """Whether there are functions that compute by themselves."""
        return any(isinstance(spec, CallableStatSpec) for spec in self._specs)

    def __iter__(self) -> Iterator[AggregateStatSpec]:
        return iter([spec for spec in self._specs if isinstance(spec, AggregateStatSpec)])


__all__ = [
    "AggregateStatSpec",
    "CallableStatSpec",
    "StatComputationPlan",
    "simple_hash",
    "simple_split_tokenizer",
]
