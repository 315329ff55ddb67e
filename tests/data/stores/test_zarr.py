from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skate.data


def write_array(
    folder: Path,
    values: np.ndarray[Any, Any],
    chunks: tuple[int, ...],
    compress: bool = False,
    left_out: tuple[str, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """An array as Zarr writes it: whole chunks, also at the edges."""
    folder.mkdir(parents=True, exist_ok=True)
    order = more.get("order", "C")
    meta: dict[str, Any] = {
        "zarr_format": 2,
        "shape": values.shape,
        "chunks": chunks,
        "dtype": values.dtype.str,
        "compressor": {"id": "zlib", "level": 1} if compress else None,
        "filters": None,
        "fill_value": 0,
        "order": "C",
        **more,
    }
    (folder / ".zarray").write_text(json.dumps(meta))
    for index in np.ndindex(*(-(-n // c) for n, c in zip(values.shape, chunks, strict=True))):
        part = values[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        whole = np.zeros(chunks, values.dtype)
        whole[tuple(slice(0, n) for n in part.shape)] = part
        name = more.get("dimension_separator", ".").join(map(str, index)) or "0"
        data = whole.tobytes(order=order)
        if name not in left_out:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(zlib.compress(data) if compress else data)
    return meta


IMAGES = np.arange(5 * 2 * 3, dtype="<i4").reshape(5, 2, 3)
LABELS = np.arange(5, dtype="<f8") / 2


@pytest.fixture
def store(tmp_path: Path) -> str:
    root = tmp_path / "s.zarr"
    root.mkdir()
    metas = {
        "images/.zarray": write_array(root / "images", IMAGES, (2, 2, 3), compress=True),
        "deep/labels/.zarray": write_array(root / "deep" / "labels", LABELS, (2,)),
        "deep/.zgroup": {"zarr_format": 2},
        ".zgroup": {"zarr_format": 2},
    }
    for name in (".zgroup", "deep/.zgroup"):
        (root / name).write_text('{"zarr_format": 2}')
    (root / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": metas}))
    return str(root)


def test_a_row_is_a_chunk(store: str) -> None:
    rows = skate.data.read_zarr(store, override_num_blocks=3).take_all()
    assert [(row["array"], row["chunk_index"], row["chunk_slices"]) for row in rows] == [
        ("deep/labels", [0], [[0, 2]]),
        ("deep/labels", [1], [[2, 4]]),
        ("deep/labels", [2], [[4, 5]]),
        ("images", [0, 0, 0], [[0, 2], [0, 2], [0, 3]]),
        ("images", [1, 0, 0], [[2, 4], [0, 2], [0, 3]]),
        ("images", [2, 0, 0], [[4, 5], [0, 2], [0, 3]]),
    ]
    np.testing.assert_array_equal(np.concatenate([row["chunk"] for row in rows[:3]]), LABELS)
    np.testing.assert_array_equal(np.concatenate([row["chunk"] for row in rows[3:]]), IMAGES)
    assert rows[3]["chunk"].dtype == np.int32


@pytest.mark.parametrize("shapes", [[3], [1, 1], {"images": [5, 1, 2]}])
def test_parts_may_have_another_shape_than_chunks(store: str, shapes: Any) -> None:
    rows = skate.data.read_zarr(store, array_paths=["images"], chunk_shapes=shapes).take_all()
    whole = np.zeros_like(IMAGES)
    for row in rows:
        whole[tuple(slice(*pair) for pair in row["chunk_slices"])] = row["chunk"]
    np.testing.assert_array_equal(whole, IMAGES)
    asked = shapes["images"] if isinstance(shapes, dict) else shapes
    assert list(rows[0]["chunk"].shape[: len(asked)]) == asked


def test_a_row_is_a_stretch_of_all_arrays(store: str) -> None:
    rows = skate.data.read_zarr(store, align_axis_0=True, overlap=1).take_all()
    assert [(row["t_start"], row["t_stop"]) for row in rows] == [(0, 2), (2, 4), (4, 5)]
    for row in rows:
        reach = slice(row["t_start"], row["t_stop"] + 1)
        np.testing.assert_array_equal(row["images"], IMAGES[reach])
        np.testing.assert_array_equal(row["deep/labels"], LABELS[reach])
    (all_,) = skate.data.read_zarr(store, align_axis_0=True, chunk_shapes=[100]).take_all()
    np.testing.assert_array_equal(all_["images"], IMAGES)


def test_arrays_are_found_without_a_list(store: str) -> None:
    (Path(store) / ".zmetadata").unlink()
    with pytest.raises(ValueError, match="does not contain .zmetadata"):
        skate.data.read_zarr(store)
    assert skate.data.read_zarr(store, allow_full_metadata_scan=True).unique("array") == [
        "deep/labels",
        "images",
    ]
    assert skate.data.read_zarr(store, array_paths=["/images/"]).unique("array") == ["images"]
    with pytest.raises(ValueError, match="Array path 'deep' is a group"):
        skate.data.read_zarr(store, array_paths=["deep"])
    with pytest.raises(ValueError, match="Array path 'none' not found"):
        skate.data.read_zarr(store, array_paths=["none"])
    alone = skate.data.read_zarr(f"{store}/images").take(1)
    assert alone[0]["array"] == "" and alone[0]["chunk"].shape == (2, 2, 3)


def test_chunks_that_are_missing_are_filled_and_others_read_as_they_were_written(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    write_array(tmp_path / "a", values, (1, 3), left_out=("1.0",), fill_value="NaN")
    write_array(tmp_path / "f", values, (2, 2), order="F", dimension_separator="/")
    write_array(tmp_path / "s", np.array(7, "<i8"), ())
    read = skate.data.read_zarr(str(tmp_path), allow_full_metadata_scan=True).take_all()
    found = {(row["array"], tuple(row["chunk_index"])): row["chunk"] for row in read}
    np.testing.assert_array_equal(found["a", (0, 0)], values[:1])
    assert np.isnan(found["a", (1, 0)]).all()
    np.testing.assert_array_equal(np.hstack([found["f", (0, 0)], found["f", (0, 1)]]), values)
    assert found["s", ()] == 7
    assert skate.data.read_zarr(str(tmp_path), allow_full_metadata_scan=True).unique("array") == [
        "a",
        "f",
        "s",
    ]
    with pytest.raises(ValueError, match="nothing found at path .*none"):
        skate.data.read_zarr(f"{tmp_path}/none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_shapes": []}, "chunk_shapes must be a non-empty sequence"),
        ({"chunk_shapes": [0]}, "chunk_shapes must be a non-empty sequence"),
        ({"chunk_shapes": {"images": [-1]}}, r"chunk_shapes\['images'\] must be a non-empty sequence"),
        ({"chunk_shapes": {"none": [1]}}, r"Unknown array path\(s\) in chunk_shapes: \['none'\]"),
        ({"chunk_shapes": [1, 1, 1, 1]}, "has 4 axes"),
        ({"overlap": 1}, "overlap requires align_axis_0=True"),
        ({"overlap": -1, "align_axis_0": True}, "overlap must be a non-negative integer, got -1"),
        ({"array_paths": ["none"]}, r"Array\(s\) not found: \['none'\]"),
        ({"align_axis_0": True, "chunk_shapes": {"images": [1]}}, "must share the same axis-0 chunk size"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(store: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        skate.data.read_zarr(store, **options)


def test_arrays_of_different_lengths_do_not_go_side_by_side(tmp_path: Path) -> None:
    write_array(tmp_path / "a", np.zeros(3), (1,))
    write_array(tmp_path / "b", np.zeros(4), (1,))
    with pytest.raises(ValueError, match=r"must share shape\[0\]"):
        skate.data.read_zarr(str(tmp_path), array_paths=["a", "b"], align_axis_0=True)
    write_array(tmp_path / "c", np.array(1.0), ())
    with pytest.raises(ValueError, match="at least one axis"):
        skate.data.read_zarr(str(tmp_path), array_paths=["a", "c"], align_axis_0=True)
