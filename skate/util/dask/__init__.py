"""Dask's graphs run as tasks, with the names of `ray.util.dask`.

    collection.compute(scheduler=ray_dask_get)      run one graph so                    scheduler.py
    with enable_dask_on_ray(): ...                  run all of them so                  configuration.py
    RayDaskCallback                                 look on, or step in                 callbacks.py

Needs Dask: `pip install "skate[dask]"`.
"""

from __future__ import annotations

try:
    import dask as _dask  # noqa: F401
except ImportError as error:
    raise ImportError('skate.util.dask needs Dask: pip install "skate[dask]"') from error

from skate.util.dask.callbacks import (
    ProgressBarCallback,
    RayDaskCallback,
    local_ray_callbacks,
    unpack_ray_callbacks,
)
from skate.util.dask.configuration import dataframe_optimize, disable_dask_on_ray, enable_dask_on_ray
from skate.util.dask.scheduler import ray_dask_get, ray_dask_get_sync, ray_dask_persist

__all__ = [
    "ProgressBarCallback",
    "RayDaskCallback",
    "dataframe_optimize",
    "disable_dask_on_ray",
    "enable_dask_on_ray",
    "local_ray_callbacks",
    "ray_dask_get",
    "ray_dask_get_sync",
    "ray_dask_persist",
    "unpack_ray_callbacks",
]
