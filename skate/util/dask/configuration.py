"""Dask's own configuration, set so that graphs run as tasks."""

from __future__ import annotations

from typing import Any

import dask

from skate.util.dask.scheduler import ray_dask_get


def enable_dask_on_ray(shuffle: str | None = "tasks", use_shuffle_optimization: bool | None = True) -> Any:
    """Run Dask's graphs as tasks from now on; or, used as a context manager, inside `with`.

    Args:
        shuffle: How data frames are shuffled: "tasks" or "disk".
        use_shuffle_optimization: Accepted for Ray's programs: Dask plans shuffles itself.

    Example:
        >>> import dask
        >>> from skate.util.dask import enable_dask_on_ray
        >>> with enable_dask_on_ray():
        ...     dask.delayed(sum)([1, 2]).compute()
        3
    """
    return dask.config.set({"scheduler": ray_dask_get, "dataframe.shuffle.method": shuffle})


def disable_dask_on_ray() -> Any:
    """Run Dask's graphs as Dask does."""
    return dask.config.set({"scheduler": None, "dataframe.shuffle.method": None})


def dataframe_optimize(dsk: Any, keys: Any, **_kwargs: Any) -> Any:
    """The graph of a data frame, optimized: Dask has done so when it makes the graph, so it is returned as it is."""
    return dsk


__all__ = ["dataframe_optimize", "disable_dask_on_ray", "enable_dask_on_ray"]
