"""Methods of `Dataset` that move, order, group and match rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import aggregate as ag
from skate.data.aggregates.base import told_apart
from skate.data.methods.base import DatasetBase
from skate.data.options import MixStoppingCondition, RandomSeedConfig, checked_seed
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.grouped_data import GroupedData

JOIN_TYPES = (
    "inner", "left_outer", "right_outer", "full_outer", "left_semi", "right_semi", "left_anti", "right_anti",
)  # fmt: skip


class RelationalMethods(DatasetBase):
    """Rows in another order, in groups, beside or below other rows."""

    def limit(self, limit: int) -> Dataset:
        """The first rows.

        Args:
            limit: How many at most.

        Example:
            >>> import skate.data
            >>> skate.data.range(1000).limit(2).take_all()
            [{'id': 0}, {'id': 1}]
        """
        return self._with(lg.Limit((self._plan,), limit))

    def sort(
        self,
        key: str | list[str],
        descending: bool | list[bool] = False,
        boundaries: list[int | float] | None = None,
    ) -> Dataset:
        """The rows in order of columns. Nulls come last; equal rows keep their order.

        Args:
            key: A column, or several, the most significant first.
            descending: Whether the greatest come first; for each of the columns if it is a list.
            boundaries: Accepted for Ray's programs: the native engine finds its own.

        Raises:
            ValueError: there is no such column, or the lists differ in length.

        Example:
            >>> import skate.data
            >>> skate.data.range(3).sort("id", descending=True).take_all()
            [{'id': 2}, {'id': 1}, {'id': 0}]
        """
        if key is None:
            raise ValueError("The 'key' parameter cannot be None for sorting.")
        keys = [key] if isinstance(key, str) else list(key)
        if not keys:
            raise ValueError("`key` must be a list of non-zero length")
        order = list(descending) if isinstance(descending, list) else [descending] * len(keys)
        if len(order) != len(keys):
            raise ValueError(
                f"'descending' must be a boolean or a list of booleans of the same length as 'key': {len(order)} != {len(keys)}."
            )
        self._require(keys)
        return self._with(lg.Sort((self._plan,), tuple(keys), tuple(order)))

    def _require(self, columns: list[str]) -> None:
        from skate.data.execution.native_stage import require

        schema = lg.known_schema(self._plan)
        if schema is not None and len(schema):
            require(columns, schema)

    def random_shuffle(
        self,
        *,
        seed: int | RandomSeedConfig | None = None,
        num_blocks: int | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """The rows in random order.

        Args:
            seed: Makes the order the same each time.
            num_blocks: Accepted for Ray's programs.
            ray_remote_args: Accepted for Ray's programs: the native engine does it.
        """
        return self._with(lg.RandomShuffle((self._plan,), checked_seed(seed), num_blocks))

    def randomize_block_order(self, *, seed: int | RandomSeedConfig | None = None) -> Dataset:
        """The blocks in random order; rows within a block stay together.

        Args:
            seed: Makes the order the same each time.
        """
        return self._with(lg.RandomizeBlocks((self._plan,), checked_seed(seed)))

    def random_sample(self, fraction: float, *, seed: int | RandomSeedConfig | None = None) -> Dataset:
        """Each row with a probability.

        Args:
            fraction: The probability.
            seed: Makes the choice the same each time.

        Raises:
            ValueError: the fraction is not between 0 and 1.
        """
        if fraction < 0 or fraction > 1:
            raise ValueError("Fraction must be between 0 and 1.")
        return self._with(lg.RandomSample((self._plan,), fraction, checked_seed(seed)))

    def repartition(
        self,
        num_blocks: int | None = None,
        target_num_rows_per_block: int | None = None,
        *,
        strict: bool = False,
        shuffle: bool = False,
        keys: list[str] | None = None,
        sort: bool = False,
    ) -> Dataset:
        """The rows in a number of blocks, or in blocks of a number of rows.

        Args:
            num_blocks: How many blocks.
            target_num_rows_per_block: Rows of a block, in place of `num_blocks`.
            strict: Whether all blocks but the last have exactly that many rows.
            shuffle: Accepted for Ray's programs: blocks are of about one size in any case.
            keys: Rows that are equal in these columns come into one block.
            sort: With keys: each block in order of them.

        Raises:
            ValueError: the arguments contradict each other.

        Example:
            >>> import skate.data
            >>> skate.data.range(10).repartition(5).materialize().num_blocks()
            5
        """
        if (num_blocks is None) == (target_num_rows_per_block is None):
            if num_blocks is None and not keys:
                raise ValueError("Either `num_blocks` or `target_num_rows_per_block` must be set")
            if num_blocks is not None:
                raise ValueError(
                    "Only one of `num_blocks` or `target_num_rows_per_block` must be set, but not both."
                )
        if target_num_rows_per_block is not None and shuffle:
            raise ValueError("`shuffle` must be False when `target_num_rows_per_block` is set.")
        for given in (num_blocks, target_num_rows_per_block):
            if given is not None and given < 1:
                raise ValueError(
                    f"repartition: {given} is no number of blocks or rows: it must be at least 1."
                )
        return self._with(
            lg.Repartition(
                (self._plan,), num_blocks, target_num_rows_per_block, strict, shuffle, tuple(keys or ()), sort
            )
        )

    def union(self, *other: Dataset) -> Dataset:
        """The rows of this dataset, and then those of others.

        Args:
            other: The others.
        """
        return self._with(lg.Union((self._plan, *(ds._plan for ds in other))))

    def mix(
        self,
        *other: Dataset,
        weights: list[float] | None = None,
        stopping_condition: MixStoppingCondition = MixStoppingCondition.STOP_ON_LONGEST_DROP,
    ) -> Dataset:
        """Blocks of this dataset and others in turn.

        Args:
            other: The others.
            weights: The share of each in the rows; default: equal.
            stopping_condition: Whether to end with the shortest or with the longest dataset.

        Raises:
            ValueError: the weights are not one positive number for each dataset.
        """
        shares = weights or [1.0] * (1 + len(other))
        if len(shares) != 1 + len(other) or min(shares) <= 0:
            raise ValueError(
                f"mix: weights={weights} must be one positive number for each of {1 + len(other)} datasets."
            )
        return self._with(
            lg.Mix((self._plan, *(ds._plan for ds in other)), tuple(shares), stopping_condition.value)
        )

    def zip(self, *other: Dataset) -> Dataset:
        """The columns of this dataset beside those of others, row by row.

        Args:
            other: Datasets of as many rows. Columns of a name that is there already get a number: `x_1`.

        Raises:
            ValueError: when it runs: the numbers of rows differ.
        """
        return self._with(lg.Zip((self._plan, *(ds._plan for ds in other))))

    def join(
        self,
        ds: Dataset,
        join_type: str,
        num_partitions: int,
        on: tuple[str, ...] = ("id",),
        right_on: tuple[str, ...] | None = None,
        left_suffix: str | None = None,
        right_suffix: str | None = None,
        *,
        partition_size_hint: int | None = None,
        aggregator_ray_remote_args: dict[str, Any] | None = None,
        validate_schemas: bool = False,
    ) -> Dataset:
        """Rows of this dataset and another, matched by columns.

        Args:
            ds: The other dataset, the right one.
            join_type: `inner`, `left_outer`, `right_outer`, `full_outer`, `left_semi`, `right_semi`, `left_anti` or
                `right_anti`.
            num_partitions: Accepted for Ray's programs: the native engine chooses.
            on: The columns to match by.
            right_on: Their names in the right dataset; default: the same.
            left_suffix: Added to names of the left dataset's columns that the right one has too.
            right_suffix: Added to those of the right one.
            partition_size_hint: Accepted for Ray's programs.
            aggregator_ray_remote_args: Accepted for Ray's programs.
            validate_schemas: Check the columns now, rather than when it runs.

        Raises:
            ValueError: there is no such join or column, or names clash and there is no suffix.

        Example:
            >>> import skate.data
            >>> left = skate.data.from_items([{"id": 1, "x": "a"}, {"id": 2, "x": "b"}])
            >>> right = skate.data.from_items([{"id": 2, "y": 5}])
            >>> left.join(right, "inner", num_partitions=1).take_all()
            [{'id': 2, 'x': 'b', 'y': 5}]
        """
        if join_type not in JOIN_TYPES:
            raise ValueError(
                f"Invalid join type: '{join_type}'. Supported join types are: {', '.join(JOIN_TYPES)}."
            )
        left_on = (on,) if isinstance(on, str) else tuple(on)
        other_on = (
            left_on if right_on is None else (right_on,) if isinstance(right_on, str) else tuple(right_on)
        )
        if len(left_on) != len(other_on) or not left_on:
            raise ValueError(
                f"join: on={left_on} and right_on={other_on} must name the same number of columns, at least one."
            )
        if validate_schemas:
            for dataset, names in ((self, left_on), (ds, other_on)):
                dataset.schema()  # type: ignore[attr-defined]
                dataset._require(list(names))
        return self._with(
            lg.Join((self._plan, ds._plan), join_type, left_on, other_on, left_suffix, right_suffix)
        )

    def groupby(self, key: str | list[str] | None, num_partitions: int | None = None) -> GroupedData:
        """Groups of rows that are equal in some columns.

        Args:
            key: A column, or several; None makes one group of all rows.
            num_partitions: Accepted for Ray's programs: the native engine chooses.

        Raises:
            ValueError: there is no such column, or one is named twice.

        Example:
            >>> import skate.data
            >>> numbers = skate.data.range(5).map(lambda row: {"odd": row["id"] % 2 == 1, "n": row["id"]})
            >>> numbers.groupby("odd").sum("n").take_all()
            [{'odd': False, 'sum(n)': 6}, {'odd': True, 'sum(n)': 4}]
        """
        from skate.data.grouped_data import GroupedData

        if num_partitions is not None and num_partitions <= 0:
            raise ValueError("`num_partitions` must be a positive integer")
        if key is not None:
            keys = [key] if isinstance(key, str) else list(key)
            if len(set(keys)) < len(keys):
                raise ValueError(f"groupby({keys!r}) names a column twice: name each once.")
            self._require(keys)
        return GroupedData(self, key, num_partitions=num_partitions)  # type: ignore[arg-type]

    def unique(self, column: str, ignore_nulls: bool = False) -> list[Any]:
        """The different values of a column.

        Args:
            column: Its name.
            ignore_nulls: Whether null is left out.

        Example:
            >>> import skate.data
            >>> skate.data.from_items([1, 2, 1]).unique("item")
            [1, 2]
        """
        self._require([column])
        from skate.data import convert
        from skate.data.execution.executor import Execution

        plan = lg.Distinct((self._plan,), (column,))
        tables = [bundle.table for bundle in Execution(plan).whole()]
        values = convert.column_to_list(convert.concat(tables).column(column)) if tables else []
        return [value for value in values if not (ignore_nulls and value is None)]

    def aggregate(self, *aggs: ag.AggregateFn) -> Any:
        """Aggregate all rows.

        Args:
            aggs: What to compute. A second one of the same name gets a number: `count(v)_2`.

        Returns:
            Names to results.

        Example:
            >>> import skate.data
            >>> from skate.data.aggregate import Max, Mean
            >>> skate.data.range(5).aggregate(Max("id"), Mean("id"))
            {'max(id)': 4, 'mean(id)': 2.0}
        """
        rows = self._with(lg.Aggregate((self._plan,), (), told_apart(aggs))).take_all()
        return rows[0] if rows else None

    def _aggregate_on(self, make: Any, on: str | list[str] | None, *args: Any) -> Any:
        columns = [on] if isinstance(on, str) else on
        if columns is None:
            schema = self.schema()  # type: ignore[attr-defined]
            columns = [] if schema is None else list(schema.names)
        if not columns:
            return None
        result = self.aggregate(*(make(column, *args) for column in columns))
        if result is None or len(columns) > 1:
            return result
        return next(iter(result.values()))

    def sum(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The sum of a column, or a dict of those of several.

        Args:
            on: The column or columns; None for all.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result None.
        """
        return self._aggregate_on(ag.Sum, on, ignore_nulls)

    def min(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The least value of a column, or a dict of those of several.

        Args:
            on: The column or columns; None for all.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result None.
        """
        return self._aggregate_on(ag.Min, on, ignore_nulls)

    def max(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The greatest value of a column, or a dict of those of several.

        Args:
            on: The column or columns; None for all.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result None.
        """
        return self._aggregate_on(ag.Max, on, ignore_nulls)

    def mean(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The mean of a column, or a dict of those of several.

        Args:
            on: The column or columns; None for all.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result None.
        """
        return self._aggregate_on(ag.Mean, on, ignore_nulls)

    def std(self, on: str | list[str] | None = None, ddof: int = 1, ignore_nulls: bool = True) -> Any:
        """The standard deviation of a column, or a dict of those of several.

        Args:
            on: The column or columns; None for all.
            ddof: What is subtracted from the count: 1 for a sample, 0 for all there is.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result None.
        """
        return self._aggregate_on(ag.Std, on, ddof, ignore_nulls)


__all__ = ["JOIN_TYPES", "RelationalMethods", "pa"]
