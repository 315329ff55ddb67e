"""Methods of `Dataset` that make another dataset: row by row, batch by batch, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from skate.data.convert import resolve_batch_format
from skate.data.expressions import AliasExpr, Expr, StarExpr, UnnestExpr, col
from skate.data.methods.base import DatasetBase, function_of, options_of, resolve
from skate.data.plan import evaluate
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from skate.data.dataset import Dataset


class MapMethods(DatasetBase):
    """Functions and expressions over rows, batches and columns."""

    def map(
        self,
        fn: Any,
        *,
        compute: Any = None,
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
        """Apply a function to each row.

        Args:
            fn: Takes a row as a dict, and returns one. A class is instantiated once in each actor.
            compute: `TaskPoolStrategy` or `ActorPoolStrategy`; default: tasks, and actors for a class.
            fn_args: Further arguments of `fn`.
            fn_kwargs: Further arguments of `fn`, by name.
            fn_constructor_args: Arguments of the class.
            fn_constructor_kwargs: Arguments of the class, by name.
            num_cpus: CPUs of each task or actor.
            num_gpus: GPUs of each task or actor.
            memory: Bytes of memory of each task or actor.
            concurrency: The number of tasks or actors; a pair for an actor pool that grows and shrinks.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task or actor.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task or actor.
            ray_remote_args_fn: Called for each task or actor, gives further options.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: the arguments contradict each other.

        Example:
            >>> import skate.data
            >>> skate.data.range(3).map(lambda row: {"square": row["id"] ** 2}).take_all()
            [{'square': 0}, {'square': 1}, {'square': 4}]
        """
        function = function_of(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
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
        where = resolve(fn, compute, concurrency, options, ray_remote_args_fn)
        return self._with(lg.MapRows((self._plan,), function, where))

    def flat_map(
        self,
        fn: Any,
        *,
        compute: Any = None,
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
        """Apply a function to each row that makes any number of rows of it.

        Args:
            fn: Takes a row as a dict, and returns a list of dicts.
            compute: `TaskPoolStrategy` or `ActorPoolStrategy`; default: tasks, and actors for a class.
            fn_args: Further arguments of `fn`.
            fn_kwargs: Further arguments of `fn`, by name.
            fn_constructor_args: Arguments of the class.
            fn_constructor_kwargs: Arguments of the class, by name.
            num_cpus: CPUs of each task or actor.
            num_gpus: GPUs of each task or actor.
            memory: Bytes of memory of each task or actor.
            concurrency: The number of tasks or actors; a pair for an actor pool that grows and shrinks.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task or actor.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task or actor.
            ray_remote_args_fn: Called for each task or actor, gives further options.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: the arguments contradict each other.

        Example:
            >>> import skate.data
            >>> skate.data.range(2).flat_map(lambda row: [row] * 2).take_all()
            [{'id': 0}, {'id': 0}, {'id': 1}, {'id': 1}]
        """
        function = function_of(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
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
        where = resolve(fn, compute, concurrency, options, ray_remote_args_fn)
        return self._with(lg.FlatMap((self._plan,), function, where))

    def filter(
        self,
        fn: Any = None,
        expr: str | Expr | None = None,
        *,
        compute: Any = None,
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
        """Keep the rows for which a function or an expression is true.

        An expression is much faster, and may be computed while the data is read.

        Args:
            fn: Takes a row as a dict, and returns whether to keep it.
            expr: An expression over columns, or text like `"x > 1 and name == 'a'"`; in place of `fn`.
            compute: `TaskPoolStrategy` or `ActorPoolStrategy`; default: tasks, and actors for a class.
            fn_args: Further arguments of `fn`.
            fn_kwargs: Further arguments of `fn`, by name.
            fn_constructor_args: Arguments of the class.
            fn_constructor_kwargs: Arguments of the class, by name.
            num_cpus: CPUs of each task or actor.
            num_gpus: GPUs of each task or actor.
            memory: Bytes of memory of each task or actor.
            concurrency: The number of tasks or actors; a pair for an actor pool that grows and shrinks.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task or actor.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task or actor.
            ray_remote_args_fn: Called for each task or actor, gives further options.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: neither or both of `fn` and `expr` are given.

        Example:
            >>> import skate.data
            >>> from skate.data.expressions import col
            >>> skate.data.range(4).filter(expr=col("id") > 2).take_all()
            [{'id': 3}]
        """
        if (fn is None) == (expr is None):
            raise ValueError("Exactly one of 'fn' or 'expr' must be provided.")
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
        if expr is not None:
            if any(
                given is not None
                for given in (fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
            ):
                raise ValueError(
                    "when 'expr' is used, 'fn_args/fn_kwargs' or 'fn_constructor_args/kwargs' can not be used."
                )
            predicate = evaluate.parse(expr) if isinstance(expr, str) else expr
            where = resolve(None, compute, concurrency, options, ray_remote_args_fn)
            return self._with(lg.Filter((self._plan,), predicate, where))
        function = function_of(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
        where = resolve(fn, compute, concurrency, options, ray_remote_args_fn)
        return self._with(lg.FilterRows((self._plan,), function, where))

    def map_batches(
        self,
        fn: Any,
        *,
        batch_size: int | Literal["auto", "default"] | None = None,
        compute: Any = None,
        batch_format: str | None = "default",
        zero_copy_batch: bool = True,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, int] | tuple[int, int, int] | None = None,
        udf_modifying_row_count: bool = True,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        ray_remote_args_fn: Callable[[], dict[str, Any]] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Apply a function to batches of rows.

        Args:
            fn: Takes a batch and returns one, or yields several. A class is instantiated once in each actor.
            batch_size: Rows of a batch; None for whole blocks.
            batch_format: What `fn` takes: `"numpy"` (a dict of arrays, the default), `"pandas"`, `"pyarrow"` or `"polars"`.
            zero_copy_batch: Whether the arrays may be views that `fn` must not write into.
            udf_modifying_row_count: Whether `fn` may return more or fewer rows than it got.
            compute: `TaskPoolStrategy` or `ActorPoolStrategy`; default: tasks, and actors for a class.
            fn_args: Further arguments of `fn`.
            fn_kwargs: Further arguments of `fn`, by name.
            fn_constructor_args: Arguments of the class.
            fn_constructor_kwargs: Arguments of the class, by name.
            num_cpus: CPUs of each task or actor.
            num_gpus: GPUs of each task or actor.
            memory: Bytes of memory of each task or actor.
            concurrency: The number of tasks or actors; a pair for an actor pool that grows and shrinks.
            label_selector: Labels of the machine to run on.
            fallback_strategy: Other options to try.
            max_calls: After so many calls a worker is replaced.
            resources: Custom resources of each task or actor.
            accelerator_type: The kind of accelerator.
            runtime_env: The environment of each task or actor.
            ray_remote_args_fn: Called for each task or actor, gives further options.
            ray_remote_args: Further options, as `skate.remote` takes them.

        Raises:
            ValueError: the arguments contradict each other, or the format or size is none.

        Example:
            >>> import skate.data
            >>> skate.data.range(3).map_batches(lambda batch: {"double": batch["id"] * 2}).take_all()
            [{'double': 0}, {'double': 2}, {'double': 4}]
        """
        if isinstance(batch_size, int) and batch_size < 1:
            raise ValueError("Batch size can't be negative or 0")
        size = batch_size if isinstance(batch_size, int) else (1024 if batch_size == "default" else None)
        function = function_of(fn, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
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
        where = resolve(fn, compute, concurrency, options, ray_remote_args_fn)
        resolved = resolve_batch_format(batch_format)
        return self._with(lg.MapBatches((self._plan,), function, where, size, resolved, zero_copy_batch))

    def map_batches_internal(self, fn: Any, **options: Any) -> Dataset:
        """The same as `map_batches`, for programs that call it by this name."""
        return self.map_batches(fn, **options)

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


__all__ = ["AliasExpr", "MapMethods"]
