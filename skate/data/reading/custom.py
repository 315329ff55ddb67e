"""Datasets read from anything that has a `Datasource`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from skate.data.reading.arguments import read_from, reader

if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.datasource.datasource import Datasource


@reader
def read_datasource(
    datasource: Datasource,
    *,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    compute: Any = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **read_args: Any,
) -> Dataset:
    """Read from a datasource.

    Args:
        datasource: The datasource.
        compute: Accepted for Ray's programs.
        read_args: Arguments of datasources of the old kind.
    """
    given = locals()
    if read_args:
        source = copy.copy(datasource)
        reader_of_old = source.create_reader(**read_args)
        source.create_reader = lambda **_: reader_of_old  # type: ignore[method-assign]
        datasource = source
    return read_from(datasource, given)


__all__ = ["read_datasource"]
