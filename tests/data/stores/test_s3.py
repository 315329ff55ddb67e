"""Every format to and from an S3 server, by address and by file system."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest

import skate.data
from skate.data import SaveMode
from skate.data.datasource.delta import _filesystem_of

ROWS = [{"a": 1, "s": "ä"}, {"a": 2, "s": ""}]


def filesystem(address: str) -> pafs.S3FileSystem:
    host = address.removeprefix("http://")
    return pafs.S3FileSystem(
        access_key="k", secret_key="s", endpoint_override=host, scheme="http", region="us-east-1"
    )


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "orc", "tfrecords", "webdataset"])
@pytest.mark.parametrize("by", ["address", "filesystem"])
def test_files_go_out_and_come_back(s3: str, kind: str, by: str) -> None:
    place = f"bucket/{kind}-{by}"
    options: dict[str, Any] = {"filesystem": filesystem(s3)} if by == "filesystem" else {}
    path = place if by == "filesystem" else f"s3://{place}"
    rows = [{"__key__": str(i), "cls": i} for i in range(2)] if kind == "webdataset" else ROWS
    dataset = skate.data.from_items(rows, override_num_blocks=1)
    getattr(dataset, f"write_{kind}")(path, **options)
    back = getattr(skate.data, f"read_{kind}")(path, **options).take_all()
    if kind == "tfrecords":
        back = [{"a": row["a"], "s": row["s"].decode()} for row in back]
    if kind == "webdataset":
        assert all(row.pop("__url__").startswith(place) for row in back)
    assert back == rows


def test_arrays_bytes_and_text(s3: str) -> None:
    skate.data.range_tensor(4, shape=(2,), override_num_blocks=2).write_numpy(
        "s3://bucket/npy", column="data"
    )
    assert skate.data.read_numpy("s3://bucket/npy").count() == 4
    pictures = skate.data.from_items([{"image": np.full((2, 2, 3), i, np.uint8)} for i in range(2)])
    pictures.write_images("s3://bucket/png", "image")
    found = skate.data.read_images("s3://bucket/png").take_all()
    assert sorted(int(row["image"][0, 0, 0]) for row in found) == [0, 1]
    skate.data.from_items(ROWS).write_csv("s3://bucket/text")
    assert skate.data.read_text("s3://bucket/text").count() == 4
    paths = [
        row["path"] for row in skate.data.read_binary_files("s3://bucket/text", include_paths=True).take_all()
    ]
    assert len(paths) == 2 and all(path.startswith("bucket/text/") for path in paths)


def test_partitions_modes_and_patterns(s3: str) -> None:
    dataset = skate.data.from_items([{"k": i % 2, "v": i} for i in range(4)], override_num_blocks=1)
    dataset.write_parquet("s3://bucket/parts", partition_cols=["k"])
    assert skate.data.read_parquet("s3://bucket/parts/k=1").sum("v") == 4
    assert {row["k"] for row in skate.data.read_parquet("s3://bucket/parts").take_all()} == {"0", "1"}
    dataset.limit(1).write_parquet("s3://bucket/parts", mode=SaveMode.OVERWRITE)
    assert skate.data.read_parquet("s3://bucket/parts").count() == 1
    with pytest.raises(ValueError, match="already exists"):
        dataset.write_parquet("s3://bucket/parts", mode=SaveMode.ERROR)
    with pytest.raises(FileNotFoundError, match="bucket/nothing"):
        skate.data.read_parquet("s3://bucket/nothing")
    found = skate.data.read_parquet(["s3://bucket/parts", "s3://bucket/nothing"], ignore_missing_paths=True)
    assert found.count() == 1


def test_a_write_that_fails_leaves_no_object(s3: str) -> None:
    class Half(skate.data.BlockBasedFileDatasink):
        def write_block_to_file(self, block: Any, file: Any) -> None:
            file.write(b"half of it")
            raise KeyError("the other half")

    with pytest.raises(KeyError, match="the other half"):
        skate.data.from_items(ROWS).write_datasink(Half("s3://bucket/half"))
    found = filesystem(s3).get_file_info(
        pafs.FileSelector("bucket/half", allow_not_found=True, recursive=True)
    )
    assert [info.path for info in found if info.type == pafs.FileType.File] == []


def test_delta_on_a_store(s3: str) -> None:
    dataset = skate.data.from_items(ROWS, override_num_blocks=2)
    dataset.write_delta("s3://bucket/delta", partition_by=["s"])
    dataset.write_delta("s3://bucket/delta")
    back = skate.data.read_delta("s3://bucket/delta", include_paths=True).take_all()
    assert sorted(row["a"] for row in back) == [1, 1, 2, 2]
    assert all(row["path"].startswith("s3://bucket/delta/s=") for row in back)


def test_delta_with_credentials_as_options(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    options = {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
        "AWS_ALLOW_HTTP": "true",
    }
    skate.data.from_items(ROWS).write_delta("s3://bucket/delta-options", storage_options=options)
    assert skate.data.read_delta("s3://bucket/delta-options", storage_options=options).count() == 2
    with pytest.raises(ValueError, match="filesystem="):
        _filesystem_of("gs://bucket/t", {"token": "x"})
