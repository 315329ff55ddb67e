"""Methods of `Dataset` that add, compute, choose and rename columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.expressions import Expr, StarExpr, UnnestExpr, col
from skate.data.methods.base import DatasetBase, options_of, resolve
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skate.data.dataset import Dataset


class ColumnMethods(DatasetBase):
    """Columns computed, chosen and renamed."""

    def with_column(
        self,
        column_name: str,
        expr: Expr,
        *,
        compute: Any = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Add a column computed by an expression, or replace one.

        Args:
            column_name: Its name.
            expr: What it holds.
            compute: Where to compute it; default: wherever it is cheapest.
            num_cpus: CPUs of each task.
            num_gpus: GPUs of each task.
            memory: Bytes of memory of each task.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Example:
            >>> import skate.data
            >>> from skate.data.expressions import col
            >>> skate.data.range(2).with_column("next", col("id") + 1).take_all()
            [{'id': 0, 'next': 1}, {'id': 1, 'next': 2}]
        """
        options = options_of(
            num_cpus,
            num_gpus,
            memory,
            label_selector,
            fallback_strategy,
            max_calls,
            resources,
            accelerator_type,
            runtime_env,
            **ray_remote_args,
        )
        where = resolve(None, compute, None, options, None)
        return self._with(lg.Project((self._plan,), (StarExpr(), expr.alias(column_name)), where))

    def with_columns(
        self,
        exprs: Mapping[str, Expr] | UnnestExpr | None = None,
        *more_exprs: Mapping[str, Expr] | UnnestExpr,
        compute: Any = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Add columns computed by expressions, or replace some. All see the columns as they were before.

        Args:
            exprs: Names to expressions, or `unnest(struct)`.
            more_exprs: More of them.
            compute: Where to compute them; default: wherever it is cheapest.
            num_cpus: CPUs of each task.
            num_gpus: GPUs of each task.
            memory: Bytes of memory of each task.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: no expression is given.
        """
        columns: list[Expr] = [StarExpr()]
        for group in [exprs, *more_exprs]:
            if isinstance(group, UnnestExpr):
                columns.append(group)
            elif group is not None:
                columns += [expr.alias(name) for name, expr in group.items()]
        if len(columns) == 1:
            raise ValueError(
                "with_columns() needs at least one expression: give a dict of names to expressions."
            )
        options = options_of(
            num_cpus,
            num_gpus,
            memory,
            label_selector,
            fallback_strategy,
            max_calls,
            resources,
            accelerator_type,
            runtime_env,
            **ray_remote_args,
        )
        where = resolve(None, compute, None, options, None)
        return self._with(lg.Project((self._plan,), tuple(columns), where))

    def add_column(
        self,
        col: str,
        fn: Callable[[Any], Any],
        *,
        batch_format: str | None = "pandas",
        compute: Any = None,
        concurrency: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Add a column computed by a function of batches, or replace one.

        Args:
            col: Its name.
            fn: Takes a batch and returns the column.
            batch_format: What `fn` takes: `"pandas"`, `"numpy"` or `"pyarrow"`.
            compute: `TaskPoolStrategy` or `ActorPoolStrategy`.
            concurrency: The number of tasks.
            num_cpus: CPUs of each task.
            num_gpus: GPUs of each task.
            memory: Bytes of memory of each task.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: `fn` can't be called, or there is no such format.

        Example:
            >>> import skate.data
            >>> skate.data.range(2).add_column("double", lambda frame: frame["id"] * 2).take_all()
            [{'id': 0, 'double': 0}, {'id': 1, 'double': 2}]
        """
        if batch_format not in ("pandas", "pyarrow", "numpy"):
            raise ValueError(
                f"batch_format argument must be 'pandas', 'pyarrow' or 'numpy', got: {batch_format}"
            )
        if not callable(fn):
            raise ValueError(f"`fn` must be callable, got {fn}")
        options = options_of(
            num_cpus,
            num_gpus,
            memory,
            label_selector,
            fallback_strategy,
            max_calls,
            resources,
            accelerator_type,
            runtime_env,
            **ray_remote_args,
        )
        where = resolve(None, compute, concurrency, options, None)
        function = lg.Function(_AddColumn(col, fn, batch_format))
        return self._with(
            lg.MapBatches((self._plan,), function, where, None, batch_format, False, "add_column")
        )

    def drop_columns(
        self,
        cols: list[str],
        *,
        compute: Any = None,
        concurrency: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Leave columns out.

        Args:
            cols: Their names.
            compute: Accepted for Ray's programs.
            concurrency: The number of tasks.
            num_cpus: CPUs of each task.
            num_gpus: GPUs of each task.
            memory: Bytes of memory of each task.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: a name is given twice.
            KeyError: there is no such column.
        """
        if len(cols) != len(set(cols)):
            raise ValueError(f"drop_columns expects unique column names, got: {cols}")
        options = options_of(
            num_cpus,
            num_gpus,
            memory,
            label_selector,
            fallback_strategy,
            max_calls,
            resources,
            accelerator_type,
            runtime_env,
            **ray_remote_args,
        )
        where = resolve(None, compute, concurrency, options, None)
        schema = lg.known_schema(self._plan)
        if schema is None:
            function = lg.Function(_Drop(tuple(cols)))
            return self._with(
                lg.MapBatches((self._plan,), function, where, None, "pyarrow", True, "drop_columns")
            )
        _check_dropped(list(cols), schema.names)
        kept = tuple(col(name) for name in schema.names if name not in cols)
        if not kept:
            function = lg.Function(_Drop(tuple(cols)))
            return self._with(
                lg.MapBatches((self._plan,), function, where, None, "pyarrow", True, "drop_columns")
            )
        return self._with(lg.Project((self._plan,), kept, where))

    def select_columns(
        self,
        cols: str | list[str],
        *,
        compute: Any = None,
        concurrency: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Keep only these columns, in this order. Readers that can will not read the others.

        Args:
            cols: Their names, or one name.
            compute: Accepted for Ray's programs.
            concurrency: The number of tasks.
            num_cpus: CPUs of each task.
            num_gpus: GPUs of each task.
            memory: Bytes of memory of each task.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            TypeError: not a name or a list of names.
            ValueError: a name is given twice.
        """
        names = [cols] if isinstance(cols, str) else cols
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(
                f"select_columns expects a name or a list of names, got: {cols!r}: give names as strings."
            )
        if len(names) != len(set(names)):
            raise ValueError(
                f"select_columns expected unique column names, got duplicate column names: {names}"
            )
        options = options_of(
            num_cpus,
            num_gpus,
            memory,
            label_selector,
            fallback_strategy,
            max_calls,
            resources,
            accelerator_type,
            runtime_env,
            **ray_remote_args,
        )
        where = resolve(None, compute, concurrency, options, None)
        return self._with(lg.Project((self._plan,), tuple(col(name) for name in names), where))

    def rename_columns(
        self,
        names: list[str] | dict[str, str],
        *,
        concurrency: int | tuple[int, int] | tuple[int, int, int] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Give columns other names.

        Args:
            names: Old names to new ones, or new names for all columns in order.
            concurrency: The number of tasks.
            num_cpus: CPUs of each task.
            num_gpus: GPUs of each task.
            memory: Bytes of memory of each task.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            TypeError: neither a dict nor a list of names.
            ValueError: there are too few, too many or equal names.
        """
        options = options_of(
            num_cpus,
            num_gpus,
            memory,
            label_selector,
            fallback_strategy,
            max_calls,
            resources,
            accelerator_type,
            runtime_env,
            **ray_remote_args,
        )
        where = resolve(None, None, concurrency, options, None)
        mapping = _renames(names, self)
        schema = lg.known_schema(self._plan)
        if schema is None:
            exprs: tuple[Expr, ...] = (StarExpr(), *(col(old)._rename(new) for old, new in mapping.items()))
        else:
            exprs = tuple(
                col(name)._rename(mapping[name]) if name in mapping else col(name) for name in schema.names
            )
            missing = [old for old in mapping if old not in schema.names]
            if missing:
                raise ValueError(
                    f"rename_columns: no column {missing}; the dataset has columns: {schema.names}"
                )
        return self._with(lg.Project((self._plan,), exprs, where))


def _renames(names: Any, dataset: Any) -> dict[str, str]:
    if isinstance(names, dict):
        if not names:
            raise ValueError("rename_columns received 'names' with no entries.")
        if not all(isinstance(part, str) for pair in names.items() for part in pair):
            raise ValueError(
                f"rename_columns requires both keys and values in the 'names' mapping to be strings, got: {names}"
            )
        if len(set(names.values())) != len(names):
            raise ValueError(f"rename_columns received duplicate values in the 'names': {names}")
        return dict(names)
    if not isinstance(names, list):
        raise TypeError(
            f"rename_columns expected names to be either List[str] or Dict[str, str], got {type(names)}."
        )
    if not names:
        raise ValueError("rename_columns requires 'names' with at least one column name.")
    if len(set(names)) != len(names):
        raise ValueError(f"rename_columns received duplicate values in the 'names': {names}")
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"rename_columns requires strings as names, got: {names}")
    current = dataset.columns()
    if len(current or []) != len(names):
        raise ValueError(
            f"rename_columns requires 'names': {names} length match current schema names: {current}."
        )
    return dict(zip(current, names, strict=True))


class _AddColumn:
    def __init__(self, name: str, fn: Callable[[Any], Any], batch_format: str) -> None:
        self._name, self._fn, self._format = name, fn, batch_format

    def __call__(self, batch: Any) -> Any:
        values = self._fn(batch)
        if self._format == "pyarrow":
            from skate.data.convert import column_from_values

            values = column_from_values(values)
            if self._name in batch.column_names:
                return batch.set_column(batch.column_names.index(self._name), self._name, values)
            return batch.append_column(self._name, values)
        if self._format == "pandas":
            frame = batch.copy(deep=False)
            frame[self._name] = values
            return frame
        return {**batch, self._name: values}


class _Drop:
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __call__(self, table: Any) -> Any:
        _check_dropped(list(self._names), table.column_names)
        return table.drop_columns(list(self._names))


def _check_dropped(names: list[str], existing: list[str]) -> None:
    missing = [name for name in names if name not in existing]
    if missing:
        raise KeyError(
            f"drop_columns: column(s) not found in dataset schema: {missing}. Available columns: {list(existing)}"
        )


__all__ = ["ColumnMethods"]
