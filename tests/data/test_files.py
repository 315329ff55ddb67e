from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from PIL import Image

import skate.data
from skate.data.datasource import (
    FilenameProvider,
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
)
from skate.data.expressions import col


def names(folder: str) -> list[str]:
    return sorted(os.listdir(folder))


def test_paths_to_skip_are_written_as_those_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        pq.write_table(pa.table({"n": [number]}), tmp_path / f"{number}.parquet")
    monkeypatch.chdir(tmp_path)
    for first in ("0.parquet", f"file://{tmp_path}/0.parquet", str(tmp_path / "0.parquet")):
        assert skate.data.read_parquet(".", skip_paths=[first, "1.parquet"]).take_all() == [{"n": 2}]
    assert skate.data.read_parquet(".", skip_paths=[]).count() == 3
    with pytest.raises(ValueError, match="leaves all of them out"):
        skate.data.read_parquet("0.parquet", skip_paths="0.parquet")


def test_parquet_goes_out_and_comes_back(folder: str) -> None:
    dataset = skate.data.range(10, override_num_blocks=2).map(lambda row: {"id": row["id"], "t": np.ones(2)})
    dataset.write_parquet(folder)
    assert len(names(folder)) == 2 and all(name.endswith(".parquet") for name in names(folder))
    back = skate.data.read_parquet(folder)
    assert back.count() == 10
    assert [row["id"] for row in back.sort("id").take_all()] == list(range(10))
    assert back.take(1)[0]["t"].tolist() == [1.0, 1.0]
    assert back.select_columns(["id"]).columns() == ["id"]
    assert sorted(back.input_files()) == [f"{folder}/{name}" for name in names(folder)]


def test_a_native_result_is_written_by_the_native_engine(folder: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(100)), "b": ["x"] * 100}), tmp_path / "in.parquet")
    source = skate.data.read_parquet(str(tmp_path / "in.parquet"))
    source.filter(expr=col("a") >= 90).select_columns(["a"]).write_parquet(folder)
    assert len(names(folder)) == 1
    assert pq.read_table(folder).column("a").to_pylist() == list(range(90, 100))


def test_nothing_written_leaves_no_folder(folder: str) -> None:
    skate.data.range(3).filter(lambda row: False).write_parquet(folder)
    assert not os.path.exists(folder)


def test_partitions_are_folders_and_come_back_as_columns(folder: str) -> None:
    rows = [{"k": i % 2, "s": "a b" if i < 2 else None, "v": i} for i in range(4)]
    skate.data.from_items(rows, override_num_blocks=1).write_parquet(folder, partition_cols=["k", "s"])
    assert names(folder) == ["k=0", "k=1"]
    back = skate.data.read_parquet(folder)
    assert set(back.columns() or []) == {"v", "k", "s"}
    assert sorted((row["v"], row["k"]) for row in back.take_all()) == [(0, "0"), (1, "1"), (2, "0"), (3, "1")]
    typed = Partitioning(PartitionStyle.HIVE, field_types={"k": int})
    assert skate.data.read_parquet(folder, partitioning=typed).sum("k") == 2
    some = PathPartitionFilter.of(lambda values: values["k"] == "1")
    assert skate.data.read_parquet(folder, partition_filter=some).count() == 2


def test_columns_paths_and_missing_columns(folder: str) -> None:
    skate.data.from_items([{"a": 1, "b": 2}]).write_parquet(folder)
    row = skate.data.read_parquet(folder, columns=["b"], include_paths=True).take(1)[0]
    assert row["b"] == 2 and row["path"].startswith(folder)
    with pytest.raises(ValueError, match="no column 'z'"):
        skate.data.read_parquet(folder, columns=["z"])


def test_files_of_different_schemas_are_joined(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [2.5], "b": ["x"]}), tmp_path / "2.parquet")
    dataset = skate.data.read_parquet(str(tmp_path))
    assert dataset.columns() == ["a", "b"]
    assert dataset.sum("a") == 3.5
    assert dataset.take_all() == [{"a": 1.0, "b": None}, {"a": 2.5, "b": "x"}]
    assert dataset.select_columns(["b"]).take_all() == [{"b": None}, {"b": "x"}]
    assert skate.data.read_parquet(str(tmp_path), columns=["b"], include_paths=True).count() == 2


@pytest.mark.parametrize("read", [skate.data.read_parquet, skate.data.read_csv, skate.data.read_text])
def test_a_missing_path_is_an_error_that_names_it(read: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        read(str(tmp_path / "nothing-here"))


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match=r"x\.parquet is no Parquet file"):
        skate.data.read_parquet(str(tmp_path))


def test_csv_goes_out_and_comes_back(folder: str) -> None:
    rows = [{"a": 1, "s": 'say "hi", ä'}, {"a": 2, "s": ""}]
    skate.data.from_items(rows, override_num_blocks=1).write_csv(folder)
    assert skate.data.read_csv(folder).take_all() == rows


def test_csv_as_found_in_the_wild(tmp_path: Path) -> None:
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,x\n")
    assert skate.data.read_csv(str(tmp_path / "bom.csv")).take_all() == [{"a": 1, "b": "x"}]
    with gzip.open(tmp_path / "z.csv.gz", "wt") as file:
        file.write("a\n5\n")
    assert skate.data.read_csv(str(tmp_path / "z.csv.gz")).take_all() == [{"a": 5}]
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"ragged\.csv.*Expected 2 columns, got 1"):
        skate.data.read_csv(str(tmp_path / "ragged.csv")).take_all()


def test_json_lines_arrays_and_mixed_types(folder: str, tmp_path: Path) -> None:
    rows = [{"a": 1, "b": [1, 2]}, {"a": None, "b": []}]
    skate.data.from_items(rows, override_num_blocks=1).write_json(folder)
    assert skate.data.read_json(folder).take_all() == rows
    (tmp_path / "array.json").write_text(json.dumps(rows))
    assert skate.data.read_json(str(tmp_path / "array.json")).take_all() == rows
    (tmp_path / "mixed.jsonl").write_text('{"a": 1}\n\n{"a": "x"}\n')
    assert skate.data.read_json(str(tmp_path / "mixed.jsonl")).take_all() == [{"a": 1}, {"a": "x"}]
    (tmp_path / "broken.json").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ValueError, match=r"broken\.json: line 2"):
        skate.data.read_json(str(tmp_path / "broken.json")).take_all()


def test_text_and_binary_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("eins\r\n\nzwei\nä".encode())
    path = str(tmp_path / "a.txt")
    assert [row["text"] for row in skate.data.read_text(path).take_all()] == ["eins", "zwei", "ä"]
    assert skate.data.read_text(path, drop_empty_lines=False).count() == 4
    assert skate.data.read_binary_files(path, include_paths=True).take_all() == [
        {"bytes": "eins\r\n\nzwei\nä".encode(), "path": path}
    ]
    (tmp_path / "latin.txt").write_bytes("ä".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.txt is not text in utf-8"):
        skate.data.read_text(str(tmp_path / "latin.txt")).take_all()
    assert skate.data.read_text(str(tmp_path / "latin.txt"), encoding="latin-1").take_all() == [{"text": "ä"}]


def test_numpy_and_images(folder: str, tmp_path: Path) -> None:
    skate.data.range_tensor(4, shape=(2,), override_num_blocks=2).write_numpy(folder, column="data")
    assert skate.data.read_numpy(folder).count() == 4
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(np.full((4, 6, 3), 7, np.uint8)).save(pictures / "a.png")
    assert skate.data.read_images(str(pictures), file_extensions=None).count() == len(
        list(pictures.iterdir())
    )
    image = skate.data.read_images(str(pictures)).take(1)[0]["image"]
    assert image.shape == (4, 6, 3) and image.dtype == np.uint8 and int(image[0, 0, 0]) == 7
    assert skate.data.read_images(str(pictures), size=(2, 3), mode="L").take(1)[0]["image"].shape == (2, 3)
    out = str(tmp_path / "out")
    skate.data.read_images(str(pictures)).write_images(out, "image")
    assert len(names(out)) == 1
    (pictures / "b.png").write_text("no picture")
    with pytest.raises(ValueError, match="couldn't load image"):
        skate.data.read_images(str(pictures)).take_all()


def test_orc_goes_out_and_comes_back(folder: str) -> None:
    skate.data.range(3).write_orc(folder)
    assert skate.data.read_orc(folder).sum("id") == 3


def test_modes_say_what_happens_to_what_is_there(folder: str) -> None:
    numbers = skate.data.range(1)
    numbers.write_parquet(folder)
    numbers.write_parquet(folder)
    assert len(names(folder)) == 2
    numbers.write_parquet(folder, mode=skate.data.SaveMode.IGNORE)
    assert len(names(folder)) == 2
    with pytest.raises(ValueError, match="already exists"):
        numbers.write_parquet(folder, mode=skate.data.SaveMode.ERROR)
    numbers.write_parquet(folder, mode=skate.data.SaveMode.OVERWRITE)
    assert len(names(folder)) == 1


def test_rows_per_file(folder: str) -> None:
    skate.data.range(10, override_num_blocks=5).write_parquet(folder, min_rows_per_file=5)
    assert [pq.read_metadata(f"{folder}/{name}").num_rows for name in names(folder)] == [5, 5]


def test_a_write_that_fails_leaves_no_file(folder: str) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 5:
            raise KeyError("five")
        return row

    with pytest.raises(skate.data.exceptions.UserCodeException):
        skate.data.range(6, override_num_blocks=1).map(fail).write_parquet(folder)
    assert names(folder) == []


def test_other_file_systems(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    skate.data.range(3).write_csv("bucket/numbers", filesystem=memory)
    assert skate.data.read_csv("bucket/numbers", filesystem=memory).sum("id") == 3
    assert skate.data.read_csv("memory://bucket/numbers").sum("id") == 3
    local = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    skate.data.range(3).write_parquet("sub", filesystem=local)
    assert skate.data.read_parquet("sub", filesystem=local).filter(expr=col("id") > 0).count() == 2


def test_patterns_lists_and_file_shuffling(tmp_path: Path) -> None:
    for name in "abcdef":
        (tmp_path / f"{name}.csv").write_text(f"x\n{name}\n")
    assert skate.data.read_csv(f"{tmp_path}/[ab].csv").count() == 2
    paths = [f"{tmp_path}/{name}.csv" for name in "fa"]
    assert [row["x"] for row in skate.data.read_csv(paths).take_all()] == ["f", "a"]
    seeded = [
        [
            r["x"]
            for r in skate.data.read_csv(
                str(tmp_path), shuffle=skate.data.FileShuffleConfig(seed=s)
            ).take_all()
        ]
        for s in (1, 1, 2)
    ]
    assert seeded[0] == seeded[1] != seeded[2]
    with pytest.raises(ValueError, match="file extensions"):
        skate.data.read_csv(str(tmp_path), file_extensions=["tsv"])


def test_paths_are_parsed() -> None:
    parser = PathPartitionParser.of(PartitionStyle.DIRECTORY, "base", ["year", "month"], {"year": int})
    assert parser("base/2024/02/file.csv") == {"year": 2024, "month": "02"}
    assert parser("elsewhere/2024/02/file.csv") == {}
    with pytest.raises(ValueError, match="Expected 2 partition"):
        parser("base/2024/file.csv")
    with pytest.raises(ValueError, match="field_names"):
        PathPartitionParser.of(PartitionStyle.DIRECTORY)


def test_a_sink_of_ones_own() -> None:
    class Collect(skate.data.Datasink[int]):
        started = failed = False
        rows = 0

        def on_write_start(self, schema: Any = None) -> None:
            self.started = True

        def write(self, blocks: Any, ctx: Any) -> int:
            return sum(block.num_rows for block in blocks)

        def on_write_complete(self, write_result: Any) -> None:
            self.rows = sum(write_result.write_returns)

        def on_write_failed(self, error: Exception) -> None:
            self.failed = True

    sink = Collect()
    skate.data.range(10, override_num_blocks=3).write_datasink(sink)
    assert sink.started and sink.rows == 10 and not sink.failed
    with pytest.raises(skate.data.exceptions.UserCodeException):
        skate.data.range(1).map(lambda row: 1 / 0).write_datasink(sink)
    assert sink.failed


def test_options_of_tasks_may_come_by_name_and_in_the_dict(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a\n1\n")
    read = skate.data.read_csv(str(tmp_path), num_cpus=0.5, ray_remote_args={"num_cpus": 1, "max_retries": 2})
    assert dict(read._plan.options) == {"num_cpus": 0.5, "max_retries": 2}
    given = skate.data.read_parquet
    skate.data.range(1).write_parquet(str(tmp_path / "p"))
    assert given(str(tmp_path / "p"), ray_remote_args={"num_cpus": 0.25}).count() == 1


def test_a_datasource_may_take_its_options_any_way() -> None:
    seen: list[dict[str, Any]] = []

    class Old(skate.data.Datasource):
        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, parallelism: int, **kwargs: Any) -> list[skate.data.ReadTask]:  # type: ignore[override]
            seen.append(kwargs)
            meta = skate.data.block.BlockMetadata(1, 1, None)
            return [skate.data.ReadTask(lambda: [pa.table({"x": [1]})], meta)]

    assert skate.data.read_datasource(Old()).take_all() == [{"x": 1}]
    assert set(seen[0]) == {"per_task_row_limit", "data_context"}


class ByTask(FilenameProvider):
    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        return f"mine_{write_uuid}_{task_index}.{self.file_format}"


def test_a_provider_names_files_by_task(folder: str, tmp_path: Path) -> None:
    numbers = skate.data.range(4, override_num_blocks=2)
    numbers.write_csv(folder, filename_provider=ByTask(file_format="csv"))
    assert all(re.fullmatch(r"mine_[0-9a-f]{32}_[01]\.csv", name) for name in names(folder))
    parquet = str(tmp_path / "parquet")
    numbers.write_parquet(parquet, filename_provider=ByTask(file_format="parquet"), max_rows_per_file=1)
    found = [re.sub(r"[0-9a-f]{32}", "W", name) for name in names(parquet)]
    assert found == [f"mine_W_{task}-{part}.parquet" for task in (0, 1) for part in (0, 1)]
    images = str(tmp_path / "images")
    picture = skate.data.from_items([{"image": np.zeros((2, 2, 3), np.uint8)}] * 2, override_num_blocks=1)
    picture.write_images(images, "image", filename_provider=ByTask(file_format="png"))
    assert [name[-20:] for name in names(images)] == ["_0_000000_000000.png", "_0_000000_000001.png"]


def test_names_that_would_replace_files_are_refused(folder: str) -> None:
    class Same(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"part-{task_index}.parquet"

    with pytest.raises(ValueError, match="missing from filename template 'part-0.parquet'"):
        skate.data.range(1).write_parquet(folder, filename_provider=Same())
    skate.data.range(1).write_parquet(folder, filename_provider=Same(), mode=skate.data.SaveMode.OVERWRITE)
    assert names(folder) == ["part-0-0.parquet"]
