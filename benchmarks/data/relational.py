"""Reading, writing, grouping, sorting, joining and shuffling, by the API that Skate and Ray share."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.data.jobs import Answer, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.data.files import Files
    from benchmarks.measure import Measured
    from benchmarks.session import Session

__all__ = ["group", "join", "read", "shuffle", "sort", "write"]


@contextlib.contextmanager
def opened(session: Session) -> Iterator[Any]:
    """The `data` module of the system. Skate starts a session by itself if it needs one; Ray is given one."""
    module = session.load()
    data = importlib.import_module(f"{module.__name__}.data")
    if session.system == "ray":
        module.init(num_cpus=2, log_to_driver=False)
        data.DataContext.get_current().enable_progress_bars = False
    try:
        yield data
    finally:
        module.shutdown()


def _on(
    session: Session, job: Callable[[Any, Files], Any], look: Callable[[Any], Answer]
) -> dict[str, Measured]:
    with opened(session) as data:
        return measure(session, lambda files: job(data, files), look)


def _rows_and_sum(dataset: Any) -> Answer:
    return {"rows": dataset.count(), "a": dataset.sum("a")}


def read(session: Session) -> dict[str, Measured]:
    """All rows and columns into memory."""
    return _on(session, lambda data, files: data.read_parquet(files.folder).materialize(), _rows_and_sum)


def write(session: Session) -> dict[str, Measured]:
    """Half of the rows, three columns, one of them computed, to Parquet files."""
    folder = tempfile.mkdtemp(prefix="bench-data-")

    def job(data: Any, files: Files) -> Any:
        shutil.rmtree(folder)
        col = importlib.import_module(f"{data.__name__}.expressions").col
        kept = data.read_parquet(files.folder).filter(expr=col("a") > 0.5)
        kept.with_column("y", col("b") * 2).select_columns(["k", "a", "y"]).write_parquet(folder)
        return data.read_parquet(folder)

    try:
        return _on(session, job, lambda written: {"kept": written.count(), "kept_y": written.sum("y")})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def group(session: Session) -> dict[str, Measured]:
    """A sum and a mean for each of 10,000 keys."""

    def job(data: Any, files: Files) -> Any:
        aggregate = importlib.import_module(f"{data.__name__}.aggregate")
        grouped = data.read_parquet(files.folder, columns=["k", "a", "b"]).groupby("k")
        return grouped.aggregate(aggregate.Sum("a"), aggregate.Mean("b")).materialize()

    return _on(
        session,
        job,
        lambda found: {"groups": found.count(), "a": found.sum("sum(a)"), "means": found.sum("mean(b)")},
    )


def sort(session: Session) -> dict[str, Measured]:
    """All rows in order of a float."""

    def look(ordered: Any) -> Answer:
        first = ordered.take(1)[0]["a"]
        return {**_rows_and_sum(ordered), "least": first, "most": ordered.max("a")}

    return _on(session, lambda data, files: data.read_parquet(files.folder).sort("a").materialize(), look)


def join(session: Session) -> dict[str, Measured]:
    """All rows with the row of a table of 10,000 that has the same key."""

    def job(data: Any, files: Files) -> Any:
        rows, names = data.read_parquet(files.folder), data.read_parquet(files.names)
        return rows.join(names, "inner", 4, on=("k",)).materialize()

    return _on(session, job, lambda found: {**_rows_and_sum(found), "weight": found.sum("weight")})


def shuffle(session: Session) -> dict[str, Measured]:
    """All rows in random order."""
    return _on(
        session,
        lambda data, files: data.read_parquet(files.folder).random_shuffle().materialize(),
        _rows_and_sum,
    )
