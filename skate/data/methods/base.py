"""What the groups of `Dataset`'s methods share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.documentation import documented
from skate.data.execution.strategies import resolve
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skate.data.context import DataContext
    from skate.data.dataset import Dataset
    from skate.data.datasource.datasink import Datasink
    from skate.data.execution.bundle import Bundle
    from skate.data.execution.executor import Execution


class DatasetBase:
    """A plan, its settings and the results of running it."""

    _plan: lg.Operator
    _context: DataContext
    _name: str | None
    _last: Execution | None
    _cached: tuple[Bundle, ...] | None
    _runs: int

    def _with(self, plan: lg.Operator) -> Dataset:
        """A dataset of another plan, under the same settings."""
        raise NotImplementedError

    def _execute(
        self, whole: bool = False, epoch: int | None = None, seed: int | None = None
    ) -> Iterator[Bundle]:
        """Run the plan.

        Args:
            whole: Whether the reader keeps all blocks.
            epoch: Which run it is; default: the one after those before.
            seed: Decides what is random and has no seed of its own.
        """
        raise NotImplementedError


writer = documented(
    {
        "path": "The folder, or its address.",
        "filesystem": "An Arrow or fsspec file system; None finds one by the address.",
        "try_create_dir": "Whether to make the folder.",
        "arrow_open_stream_args": "Arguments of the file system's `open_output_stream`.",
        "filename_provider": "Names the files.",
        "min_rows_per_file": "The least number of rows of a file.",
        "num_rows_per_file": "The old name of `min_rows_per_file`.",
        "mode": "What to do where something is already.",
        "catalog": "Resolves the name of a table.",
        "storage_options": "Credentials and settings of the store, as its package takes them.",
        "ray_remote_args": "Options of the tasks that write.",
        "concurrency": "How many tasks write at a time.",
    }
)


class SinkMethods(DatasetBase):
    """Writing, to whatever it is."""

    @writer
    def write_datasink(
        self,
        datasink: Datasink[Any],
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Write to a sink.

        Args:
            datasink: The sink.
        """
        where = resolve(None, None, concurrency, dict(ray_remote_args or {}), None)
        written = self._with(lg.Write((self._plan,), datasink, where))
        for _ in written._execute():
            pass
        self._last = written._last

    def _write_to(self, sink: Datasink[Any], given: Mapping[str, Any]) -> None:
        """Write to a sink, as a writer's arguments say."""
        self.write_datasink(sink, ray_remote_args=given["ray_remote_args"], concurrency=given["concurrency"])


def options_of(
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The options of a stage's tasks that were given."""
    options = {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "memory": memory,
        "label_selector": label_selector,
        "fallback_strategy": fallback_strategy,
        "max_calls": max_calls,
        "resources": resources,
        "accelerator_type": accelerator_type,
        "runtime_env": runtime_env,
        **more,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if num_gpus and num_cpus is None:
        given["num_cpus"] = 0
    return given


def function_of(
    fn: Any, fn_args: Any, fn_kwargs: Any, fn_constructor_args: Any, fn_constructor_kwargs: Any
) -> lg.Function:
    """A user's function with its arguments.

    Raises:
        ValueError: it can't be called, or arguments of a class are given to what is none.
    """
    if not callable(fn):
        raise ValueError(f"`fn` must be a function or a class whose instances are functions, got: {fn!r}.")
    if not isinstance(fn, type):
        for name, given in (
            ("fn_constructor_args", fn_constructor_args),
            ("fn_constructor_kwargs", fn_constructor_kwargs),
        ):
            if given is not None:
                raise ValueError(
                    f"``{name}`` can only be specified if providing a callable class instance for ``fn``, but got: "
                    f"{fn}."
                )
    return lg.Function(
        fn,
        tuple(fn_args or ()),
        tuple((fn_kwargs or {}).items()),
        tuple(fn_constructor_args or ()),
        tuple((fn_constructor_kwargs or {}).items()),
    )


__all__ = ["DatasetBase", "SinkMethods", "function_of", "options_of", "resolve", "writer"]
