"""Methods of `Dataset` that make another dataset: row by row, batch by batch, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from skate.data.convert import resolve_batch_format
from skate.data.expressions import AliasExpr, Expr
from skate.data.methods.base import DatasetBase, function_of, options_of, resolve
from skate.data.plan import evaluate
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


__all__ = ["AliasExpr", "MapMethods"]
