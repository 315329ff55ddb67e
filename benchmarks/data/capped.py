"""Work on a set five times larger than the memory that the processes may use: its peak, its time, what is left on the disk.

The limit is a control group's where one can be made (as root on most machines), so that the kernel ends what goes beyond
it; elsewhere it is a limit on the data of each process.
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data.files import files
from benchmarks.data.jobs import Peak, same
from benchmarks.data.relational import opened
from benchmarks.measure import Measured, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.data.files import Files
    from benchmarks.session import Session

__all__ = ["batches", "blocks", "group", "groups", "join", "keys", "large_join", "shuffle", "sort", "zip"]

CAP_BYTES = 1_000_000_000
_TIMES = 5  # the files of the large set, each so many times, are 5.1 GB in memory
_BLOCKS = 64
_GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def _cap() -> Iterator[None]:
    """This process, and those that it starts from now on, under the limit."""
    found = _group()
    if found is None:
        resource.setrlimit(resource.RLIMIT_DATA, (CAP_BYTES, CAP_BYTES))
        yield
        return
    group, limit = found
    outside = group.parent / "cgroup.procs"
    try:
        (group / limit).write_text(str(CAP_BYTES))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        outside.write_text(str(os.getpid()))
        with contextlib.suppress(OSError):  # something of it is still on its way out
            group.rmdir()


def _group() -> tuple[Path, str] | None:
    """A new control group of either version within this process's own, and its file of the limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, limit = (
            (_GROUPS / "memory", "memory.limit_in_bytes") if controllers else (_GROUPS, "memory.max")
        )
        group = root / path.lstrip("/") / f"bench-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / limit).exists():
            return group, limit
        group.rmdir()
    return None


def _tables(dataset: Any) -> Iterator[Any]:
    batches: Iterator[Any] = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    return batches


def _run(
    session: Session, job: Callable[[Any, Any, Files], Any], look: Callable[[Iterator[Any]], dict[str, float]]
) -> dict[str, Measured]:
    """Do a job under the limit, its result read a block at a time.

    Args:
        session: The measurement.
        job: Makes the result of the `data` module, the set and the files that it was made from.
        look: What is checked of the result's blocks; amounts that grow with the rows.
    """
    given = files(session.quick)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as disk:
        for part in given.parts:
            for number in range(_TIMES):
                os.symlink(part, f"{folder}/{number}-{os.path.basename(part)}")
        tempfile.tempdir = disk
        peak = Peak()
        with _cap(), opened(session) as data, peak:
            start = time.perf_counter()
            found = look(_tables(job(data, data.read_parquet(folder), given)))
            seconds = time.perf_counter() - start
            tempfile.tempdir = None
        same({name: value / _TIMES for name, value in found.items()}, given)
        check(os.listdir(disk), [])
    return {"seconds": Measured([seconds]), "memory": Measured([float(peak.bytes)])}


def _sums(tables: Iterator[Any], **columns: str) -> dict[str, float]:
    import pyarrow.compute as pc

    found = dict.fromkeys(("rows", *columns), 0.0)
    for table in tables:
        found["rows"] += table.num_rows
        for name, column in columns.items():
            found[name] += pc.sum(table.column(column)).as_py() or 0.0
    return found


def sort(session: Session) -> dict[str, Measured]:
    """In order of a float."""

    def ordered(tables: Iterator[Any]) -> Iterator[Any]:
        import numpy as np

        last = -1.0
        for table in tables:
            values = table.column("a").to_numpy()
            check(bool(values[0] >= last and np.all(values[1:] >= values[:-1])), True)
            last = values[-1]
            yield table

    return _run(session, lambda data, rows, _: rows.sort("a"), lambda tables: _sums(ordered(tables), a="a"))


def group(session: Session) -> dict[str, Measured]:
    """A sum for each of 10,000 keys."""

    def look(tables: Iterator[Any]) -> dict[str, float]:
        found = _sums(tables, a="sum(a)")
        return {"groups": found["rows"] * _TIMES, "a": found["a"]}

    return _run(session, lambda data, rows, _: rows.groupby("k").sum("a"), look)


def groups(session: Session) -> dict[str, Measured]:
    """A sum for each moment: nearly as many groups as the set has rows that differ."""

    def look(tables: Iterator[Any]) -> dict[str, float]:
        found = _sums(tables, a="sum(a)")
        return {"moments": found["rows"] * _TIMES, "a": found["a"]}

    return _run(session, lambda data, rows, _: rows.groupby("t").sum("a"), look)


def join(session: Session) -> dict[str, Measured]:
    """Each row with the row of a table of 10,000 that has its key."""

    def job(data: Any, rows: Any, given: Files) -> Any:
        return rows.join(data.read_parquet(given.names), "inner", 4, on=("k",))

    return _run(session, job, lambda tables: _sums(tables, a="a", weight="weight"))


def large_join(session: Session) -> dict[str, Measured]:
    """Each row with the row of a fifth of the set that has its moment."""

    def job(data: Any, rows: Any, given: Files) -> Any:
        other = data.read_parquet(given.folder, columns=["t", "c"]).rename_columns({"c": "d"})
        return rows.join(other, "inner", 4, on=("t",))

    def look(tables: Iterator[Any]) -> dict[str, float]:
        import pyarrow.compute as pc

        found = {"pairs": 0.0, "rows": 0.0}
        for table in tables:
            found["pairs"] += table.num_rows
            found["rows"] += pc.sum(pc.equal(table.column("c"), table.column("d"))).as_py() or 0
        return found

    return _run(session, job, look)


def shuffle(session: Session) -> dict[str, Measured]:
    """In random order."""
    return _run(session, lambda data, rows, _: rows.random_shuffle(), lambda tables: _sums(tables, a="a"))


def _root(batch: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {**batch, "y": np.sqrt(batch["a"]) + batch["b"]}


def batches(session: Session) -> dict[str, Measured]:
    """A NumPy function over all columns, in batches."""
    return _run(
        session, lambda data, rows, _: rows.map_batches(_root), lambda tables: _sums(tables, a="a", root="y")
    )


def blocks(session: Session) -> dict[str, Measured]:
    """Cut into blocks of one length; what comes before them is a function, so that nobody knows how many rows there are."""

    def look(tables: Iterator[Any]) -> dict[str, float]:
        lengths: list[int] = []

        def counted() -> Iterator[Any]:
            for table in tables:
                lengths.append(table.num_rows)
                yield table

        found = _sums(counted(), a="a")
        check((len(lengths), max(lengths) - min(lengths) <= 1), (_BLOCKS, True))
        return found

    return _run(session, lambda data, rows, _: rows.map_batches(_root).repartition(_BLOCKS), look)


def keys(session: Session) -> dict[str, Measured]:
    """Cut into blocks by a key: no key is in two of them."""

    def look(tables: Iterator[Any]) -> dict[str, float]:
        import pyarrow.compute as pc

        distinct: list[int] = []

        def counted() -> Iterator[Any]:
            for table in tables:
                distinct.append(pc.count_distinct(table.column("k")).as_py())
                yield table

        found = _sums(counted(), a="a")
        check(len(distinct), _BLOCKS)
        return {**found, "groups": float(sum(distinct) * _TIMES)}

    return _run(session, lambda data, rows, _: rows.repartition(_BLOCKS, keys=["k"]), look)


def zip(session: Session) -> dict[str, Measured]:
    """Side by side with a column of its own that a function has changed."""

    def job(data: Any, rows: Any, given: Files) -> Any:
        return rows.zip(rows.select_columns(["k", "a", "b"]).map_batches(_root).rename_columns({"a": "same"}))

    def look(tables: Iterator[Any]) -> dict[str, float]:
        def aligned() -> Iterator[Any]:
            for table in tables:
                check(table.column("a").equals(table.column("same")), True)
                yield table

        return _sums(aligned(), a="a", root="y")

    return _run(session, job, look)
