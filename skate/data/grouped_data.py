"""Groups of rows: what `Dataset.groupby` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data import aggregate as ag
from skate.data.aggregates.base import told_apart
from skate.data.convert import resolve_batch_format
from skate.data.methods.base import function_of, options_of, resolve
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from skate.data.dataset import Dataset
    from skate.data.expressions import Expr


class GroupedData:
    """The rows of a dataset in groups.

    Args:
        dataset: The dataset.
        key: The column or columns in which the rows of a group are equal; None makes one group of all.
        num_partitions: Accepted for Ray's programs.

    Example:
        >>> import skate.data
        >>> pets = skate.data.from_items([{"kind": "cat", "age": 3}, {"kind": "dog", "age": 5}, {"kind": "cat", "age": 5}])
        >>> pets.groupby("kind").mean("age").take_all()
        [{'kind': 'cat', 'mean(age)': 4.0}, {'kind': 'dog', 'mean(age)': 5.0}]
    """

    def __init__(self, dataset: Dataset, key: str | list[str] | None, *, num_partitions: int | None) -> None:
        self._dataset = dataset
        self._key = key
        self._num_partitions = num_partitions

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dataset={self._dataset!r}, key={self._key!r})"

    @property
    def _keys(self) -> tuple[str, ...]:
        if self._key is None:
            return ()
        return (self._key,) if isinstance(self._key, str) else tuple(self._key)

    def aggregate(self, *aggs: ag.AggregateFn) -> Dataset:
        """A row for each group, with its key and these aggregations, in order of the key.

        Args:
            aggs: What to compute. A second one of the same name gets a number: `count(v)_2`.

        Raises:
            ValueError: an aggregation has the name of a key.
        """
        named = told_apart(aggs, self._keys)
        return self._dataset._with(lg.Aggregate((self._dataset._plan,), self._keys, named))

    def _aggregate_on(self, make: Any, on: str | list[str] | None, *args: Any) -> Dataset:
        columns = [on] if isinstance(on, str) else on
        if columns is None:
            schema = self._dataset.schema()
            columns = [] if schema is None else [name for name in schema.names if name not in self._keys]
        return self.aggregate(*(make(column, *args) for column in columns))

    def count(self) -> Dataset:
        """How many rows each group has, in a column `count()`."""
        return self.aggregate(ag.Count())

    def sum(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The sum of columns in each group, in columns `sum(name)`.

        Args:
            on: The column or columns; None for all but the keys.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result null.
        """
        return self._aggregate_on(ag.Sum, on, ignore_nulls)

    def min(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The least value of columns in each group, in columns `min(name)`.

        Args:
            on: The column or columns; None for all but the keys.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result null.
        """
        return self._aggregate_on(ag.Min, on, ignore_nulls)

    def max(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The greatest value of columns in each group, in columns `max(name)`.

        Args:
            on: The column or columns; None for all but the keys.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result null.
        """
        return self._aggregate_on(ag.Max, on, ignore_nulls)

    def mean(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The mean of columns in each group, in columns `mean(name)`.

        Args:
            on: The column or columns; None for all but the keys.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result null.
        """
        return self._aggregate_on(ag.Mean, on, ignore_nulls)

    def std(self, on: str | list[str] | None = None, ddof: int = 1, ignore_nulls: bool = True) -> Dataset:
        """The standard deviation of columns in each group, in columns `std(name)`.

        Args:
            on: The column or columns; None for all but the keys.
            ddof: What is subtracted from the count: 1 for a sample, 0 for all there is.
            ignore_nulls: Whether nulls are left out; otherwise one makes the result null.
        """
        return self._aggregate_on(ag.Std, on, ddof, ignore_nulls)

    def map_groups(
        self,
        fn: Any,
        *,
        zero_copy_batch: bool = True,
        compute: Any = None,
        batch_format: str | None = "default",
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, int] | tuple[int, int, int] | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        ray_remote_args_fn: Callable[[], dict[str, Any]] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Apply a function to each group.

        Args:
            fn: Takes a group as a batch, and returns a batch, or yields several.
            zero_copy_batch: Whether the arrays may be views that `fn` must not write into.
            compute: `TaskPoolStrategy` or `ActorPoolStrategy`; default: tasks, and actors for a class.
            batch_format: As in `Dataset.map_batches`.
            fn_args: Further arguments of `fn`.
            fn_kwargs: Further arguments of `fn`, by name.
            fn_constructor_args: Arguments of the class.
            fn_constructor_kwargs: Arguments of the class, by name.
            num_cpus: CPUs of each task or actor.
            num_gpus: GPUs of each task or actor.
            memory: Bytes of memory of each task or actor.
            concurrency: The number of tasks or actors.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task or actor.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task or actor.
            ray_remote_args_fn: Called for each task or actor, gives further options.
            ray_remote_args: Further options, as `skate.remote` takes them.
        """
        function = function_of(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
        options = options_of(
            num_cpus, num_gpus, memory, label_selector, fallback_strategy, max_calls, resources,
            accelerator_type, runtime_env, **ray_remote_args,
        )  # fmt: skip
        where = resolve(fn, compute, concurrency, options, ray_remote_args_fn)
        plan = lg.MapGroups(
            (self._dataset._plan,), self._keys, function, where, resolve_batch_format(batch_format)
        )
        return self._dataset._with(plan)

    def with_column(self, column_name: str, expr: Expr, **ray_remote_args: Any) -> Dataset:
        """Add a column computed by an expression over each group.

        Args:
            column_name: Its name.
            expr: What it holds.
            ray_remote_args: Options of the tasks.
        """
        return self.map_groups(_WithColumn(column_name, expr), batch_format="pyarrow", **ray_remote_args)


class _WithColumn:
    def __init__(self, name: str, expr: Expr) -> None:
        self._name, self._expr = name, expr

    def __call__(self, table: Any) -> Any:
        from skate.data.expressions import StarExpr
        from skate.data.plan.evaluate import project

        return project([StarExpr(), self._expr.alias(self._name)], table)


__all__ = ["GroupedData"]
