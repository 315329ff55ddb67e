"""Errors of the native engine over damaged files, which it does not name: they are looked for, and named."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def damage_named(plan: lg.Operator) -> Iterator[None]:
    """Work of the native engine; if it fails at a file, the error names it.

    Args:
        plan: What is computed.

    Raises:
        OSError: a file that the plan reads is damaged.
    """
    try:
        yield
    except pl.exceptions.ComputeError as error:
        for op in lg.walk(plan):
            for path in op.scan.paths if isinstance(op, lg.Read) and op.scan is not None else ():
                reason = _damage(path)
                if reason is not None:
                    raise OSError(f"{path} is damaged: {reason}: write it again, or leave it out.") from error
        raise


def _damage(path: str) -> str | None:
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches():
                pass
    except (pa.ArrowException, OSError) as error:
        return str(error)
    return None


__all__ = ["damage_named"]
