"""Files that are damaged or vanish, disks that are full, writes that are interrupted."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skate.data
from skate.data import SaveMode
from skate.data.execution import memory, shuffle
from skate.data.expressions import col


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond a size: the kernel says so where a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_a_full_disk_leaves_no_file_and_the_write_can_be_run_again(folder: str, kind: str) -> None:
    numbers = {"x": np.random.default_rng(1).normal(size=100_000)}
    dataset = skate.data.from_arrow(pa.table(numbers))
    with small_disk(1 << 16), pytest.raises(OSError, match=r"[Ff]ile too large|too large"):
        getattr(dataset, f"write_{kind}")(folder)
    assert os.listdir(folder) == []
    getattr(dataset, f"write_{kind}")(folder)
    assert getattr(skate.data, f"read_{kind}")(folder).count() == 100_000


def test_a_write_that_fails_later_takes_its_whole_files_away(folder: str) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 7:
            raise KeyError("seven")
        return row

    skate.data.range(1).write_csv(folder)
    kept = os.listdir(folder)
    with pytest.raises(skate.data.exceptions.UserCodeException):
        skate.data.range(10, override_num_blocks=10).map(fail).write_csv(folder)
    assert os.listdir(folder) == kept


def test_overwriting_keeps_the_old_files_until_the_new_ones_are_there(folder: str) -> None:
    skate.data.range(3).write_parquet(folder)
    old = os.listdir(folder)
    with pytest.raises(skate.data.exceptions.UserCodeException):
        skate.data.range(2).map(lambda row: 1 // 0).write_parquet(folder, mode=SaveMode.OVERWRITE)
    assert os.listdir(folder) == old
    own = skate.data.read_parquet(folder).filter(expr=col("id") > 0)
    own.write_parquet(folder, mode=SaveMode.OVERWRITE)  # what it reads is what it replaces
    assert sorted(row["id"] for row in skate.data.read_parquet(folder).take_all()) == [1, 2]


def test_files_of_fixed_names_are_written_again(folder: str) -> None:
    class Fixed(skate.data.datasource.FilenameProvider):
        def get_filename_for_block(
            self, block: Any, write_uuid: str, task_index: int, block_index: int
        ) -> str:
            return f"part-{task_index}.csv"

    skate.data.range(4, override_num_blocks=2).write_csv(folder, filename_provider=Fixed())
    assert sorted(os.listdir(folder)) == ["part-0.csv", "part-1.csv"]
    skate.data.range(1).write_csv(folder, filename_provider=Fixed(), mode=SaveMode.OVERWRITE)
    assert os.listdir(folder) == ["part-0.csv"]
    assert skate.data.read_csv(folder).count() == 1


READS: list[Callable[[skate.data.Dataset], Any]] = [
    lambda dataset: dataset.take_all(),
    lambda dataset: dataset.map(lambda row: row).take_all(),
    lambda dataset: dataset.sort("x").take_all(),
]


@pytest.mark.parametrize("read", READS)
def test_a_corrupt_page_is_an_error_that_names_the_file(tmp_path: Path, read: Callable[[Any], Any]) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"x": list(range(1000))}), path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(0)
    start = column.data_page_offset
    for at in range(start + 20, start + column.total_compressed_size):
        data[at] = 0xAA
    path.write_bytes(bytes(data))
    with pytest.raises(OSError, match=r"f\.parquet"):
        read(skate.data.read_parquet(str(path)))


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_that_vanishes_is_an_error_that_names_it(
    tmp_path: Path, kind: str, read: Callable[[Any], Any]
) -> None:
    path = tmp_path / f"f.{kind}"
    if kind == "csv":
        path.write_text("x\n1\n")
    else:
        pq.write_table(pa.table({"x": [1]}), path)
    dataset = getattr(skate.data, f"read_{kind}")(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"f\.{kind}"):
        read(dataset)


def test_what_a_store_refuses_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skate.data.datasource.retry._wait", lambda *args: None)
    (tmp_path / "f.csv").write_text("a\n1\n2\n")
    refusals = [OSError("AWS Error SLOW_DOWN during GetObject"), OSError("AWS Error SLOW_DOWN")]

    class Moody(skate.data.datasource.FileBasedDatasource):
        def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
            yield pa.table({"a": [1]})
            if refusals:
                raise refusals.pop()
            yield pa.table({"a": [2]})

    rows = skate.data.read_datasource(Moody(str(tmp_path))).take_all()
    assert rows == [{"a": 1}, {"a": 2}] and not refusals
    refusals.append(OSError("disk on fire"))
    with pytest.raises(OSError, match="disk on fire"):
        skate.data.read_datasource(Moody(str(tmp_path))).take_all()


def test_a_file_that_is_written_at_the_second_try_has_its_schema(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skate.data.datasource.retry._wait", lambda *args: None)
    refusals = [OSError("AWS Error SLOW_DOWN")]
    write = pq.write_table

    def moody(*args: Any, **options: Any) -> None:
        if refusals:
            raise refusals.pop()
        write(*args, **options)

    monkeypatch.setattr(pq, "write_table", moody)
    schema = pa.schema([("id", pa.int32())])
    skate.data.range(3, override_num_blocks=1).write_parquet(folder, schema=schema)
    (name,) = os.listdir(folder)
    assert pq.read_schema(f"{folder}/{name}") == schema and not refusals


def test_a_name_says_how_a_file_is_compressed(folder: str) -> None:
    class Zipped(skate.data.datasource.FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"{write_uuid}-{task_index}.csv.gz"

    skate.data.range(3, override_num_blocks=1).write_csv(folder, filename_provider=Zipped())
    (name,) = os.listdir(folder)
    with open(f"{folder}/{name}", "rb") as file:
        assert file.read(2) == b"\x1f\x8b"
    assert skate.data.read_csv(folder).count() == 3


def rows_of_files(folder: str) -> list[int]:
    return sorted(pq.read_metadata(f"{folder}/{name}").num_rows for name in os.listdir(folder))


def test_rows_and_bytes_of_files(folder: str) -> None:
    numbers = skate.data.range(10, override_num_blocks=5)
    numbers.write_parquet(folder, min_rows_per_file=4, max_rows_per_file=5)
    assert rows_of_files(folder) == [2, 4, 4]
    numbers.write_parquet(folder, mode=SaveMode.OVERWRITE, min_bytes_per_file=40)  # a block has 16
    assert rows_of_files(folder) == [4, 6]
    with pytest.raises(ValueError, match="cannot be greater"):
        numbers.write_parquet(folder, min_rows_per_file=6, max_rows_per_file=5)


@pytest.mark.parametrize(
    "move",
    [
        lambda data: data.sort("x"),
        lambda data: data.random_shuffle(),
        lambda data: data.groupby("id").aggregate(skate.data.aggregate.AsList("x")),
        lambda data: data.join(data, "inner", 1, on=("id",), right_suffix="_r"),
        lambda data: data.repartition(3, keys=["id"]),
        lambda data: data.map_batches(lambda batch: batch).repartition(3),
        lambda data: data.filter(lambda row: True).zip(data),
        lambda data: data.map_batches(lambda batch: batch).sort("x"),
    ],
)
def test_a_disk_that_fills_up_while_rows_are_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(memory, "budget", lambda: 1 << 16)
    monkeypatch.setattr(shuffle, "budget", lambda: 1 << 16)
    numbers = pa.table({"id": np.arange(40_000), "x": np.random.default_rng(1).random(40_000)})
    parts = [numbers.slice(start, 4000) for start in range(0, 40_000, 4000)]
    dataset = move(skate.data.from_arrow(parts))
    with small_disk(1 << 10), pytest.raises(OSError, match=r"[Ff]ile too large"):
        dataset.take_all()
    assert os.listdir(tmp_path) == []
    assert dataset.count() == (len(dataset.take_all()))  # with room on the disk the same dataset runs
