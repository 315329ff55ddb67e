"""Stores that the zarr package writes, with its codecs, orders and kinds of elements, come in by `read_zarr`."""

import sys

import numcodecs
import numpy as np
import ray
import ray.data
import zarr

path = f"{sys.argv[1]}/store.zarr"
arrays = {
    "images": np.arange(5 * 2 * 3, dtype="i4").reshape(5, 2, 3),
    "labels": np.arange(5, dtype="f8"),
    "deep/small": np.arange(6, dtype="u1").reshape(2, 3),
    "scalar": np.array(3.5, "f4"),
    "dates": np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"),
    "columns": np.arange(4, dtype=">i2").reshape(2, 2),
    "flags": np.array([True, False]),
}
store = zarr.open_group(path, mode="w")
store.create_dataset("images", data=arrays["images"], chunks=(2, 2, 3))
store.create_dataset("labels", data=arrays["labels"], chunks=(2,), compressor=None)
delta = {"compressor": numcodecs.Zstd(3), "filters": [numcodecs.Delta("u1")]}
store.create_dataset("deep/small", data=arrays["deep/small"], chunks=(1, 2), **delta)
store.create_dataset("scalar", data=arrays["scalar"])
store.create_dataset("dates", data=arrays["dates"], chunks=(1,))
store.create_dataset("columns", data=arrays["columns"], chunks=(2, 1), order="F", dimension_separator="/")
store.create_dataset("flags", data=arrays["flags"], chunks=(2,), compressor=numcodecs.BZ2())
store.create_dataset(
    "words", data=np.array(["a", "bb"], object), object_codec=numcodecs.VLenUTF8(), chunks=(2,)
)
store.create_dataset("holes", shape=(4,), chunks=(2,), dtype="f4", fill_value=np.nan)
zarr.consolidate_metadata(path)

for name, expected in arrays.items():
    whole = np.empty_like(expected)
    for row in ray.data.read_zarr(path, array_paths=[name]).take_all():
        whole[tuple(slice(*bounds) for bounds in row["chunk_slices"])] = row["chunk"]
    np.testing.assert_array_equal(whole, expected)
(words,) = ray.data.read_zarr(path, array_paths=["words"]).take_all()
assert list(words["chunk"]) == ["a", "bb"]
assert all(np.isnan(row["chunk"]).all() for row in ray.data.read_zarr(path, array_paths=["holes"]).take_all())
paired = ray.data.read_zarr(path, array_paths=["images", "labels"], align_axis_0=True, overlap=1).take_all()
assert [row["labels"].tolist() for row in paired] == [[0, 1, 2], [2, 3, 4], [4]]
np.testing.assert_array_equal(paired[1]["images"], arrays["images"][2:5])
print("ok")
