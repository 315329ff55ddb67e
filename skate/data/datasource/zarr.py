"""Arrays of Zarr stores, as rows: a chunk each, or the same stretch of several arrays each."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource import files as fs
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.datasource.zarr_store import Region, ZarrArray, ZarrStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK_BYTES = 32 << 20  # chunks of one array are put together to blocks of about so much


class ZarrDatasource(Datasource):
    """The arrays of a Zarr store of version 2.

    Args:
        path: The store's folder or address.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        chunk_shapes: The shape of the parts to read, on the first axes: one for all arrays, or one by array. Default: the
            store's chunks.
        array_paths: The arrays to read; None for all.
        allow_full_metadata_scan: Whether to look into all folders, where the store has no list of its arrays.
        align_axis_0: Whether a row is the same stretch of all arrays, and not a chunk of one.
        overlap: By how many items of the next row's stretch each row's is longer.

    Raises:
        ValueError: an argument is of a wrong kind or does not fit the arrays, or there are none.
        TypeError: `filesystem` is none.
    """

    def __init__(
        self,
        path: str,
        *,
        filesystem: Any = None,
        chunk_shapes: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
        array_paths: list[str] | None = None,
        allow_full_metadata_scan: bool = False,
        align_axis_0: bool = False,
        overlap: int = 0,
    ) -> None:
        super().__init__()
        found, system = fs.resolve_paths(path, filesystem)
        is_in_archive = type(filesystem).__name__ == "ZipFileSystem" and found[0].endswith(".zip")
        self._store = ZarrStore("" if is_in_archive else found[0], system)
        _check_overlap(overlap, align_axis_0)
        self._overlap = overlap
        shapes = _checked_shapes(chunk_shapes)
        self._arrays = list(self._store.arrays(array_paths, allow_full_metadata_scan).values())
        if not self._arrays:
            raise ValueError(f"No arrays discovered in Zarr store at {found[0]!r}.")
        self._tiles = _tiles(self._arrays, shapes)
        self._aligned = align_axis_0
        if align_axis_0:
            _check_aligned(self._arrays, self._tiles)
            grids = [_grid(self._arrays[0], self._tiles[0])[:1]]
        else:
            grids = [_grid(array, tile) for array, tile in zip(self._arrays, self._tiles, strict=True)]
        self._grids = grids
        # Rows of all arrays have one numbering, so that a task is a range of it.
        self._ends = list(itertools.accumulate(math.prod(grid) for grid in grids))

    def get_name(self) -> str:
        """`Zarr`."""
        return "Zarr"

    def estimate_inmemory_data_size(self) -> int | None:
        """By the shapes of the arrays."""
        return sum(array.bytes_of(array.shape) for array in self._arrays)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Ranges of rows of about one length."""
        rows = self._ends[-1]
        parts = max(1, min(parallelism, rows))
        size = self.estimate_inmemory_data_size() or 0
        tasks = []
        for part in range(parts):
            start, stop = rows * part // parts, rows * (part + 1) // parts
            meta = BlockMetadata(stop - start, size * (stop - start) // max(1, rows), None)
            read = _ReadStretches if self._aligned else _ReadChunks
            tasks.append(ReadTask(read(self, start, stop), meta, None, per_task_row_limit))
        return tasks


class _ReadChunks:
    """Rows that are chunks of one array each."""

    def __init__(self, source: ZarrDatasource, start: int, stop: int) -> None:
        self._source, self._start, self._stop = source, start, stop

    def __call__(self) -> Iterator[pa.Table]:
        source = self._source
        row = self._start
        while row < self._stop:
            at = bisect.bisect_right(source._ends, row)
            array, tile, grid = source._arrays[at], source._tiles[at], source._grids[at]
            first = source._ends[at] - math.prod(grid)
            step = max(1, _BLOCK_BYTES // max(1, array.bytes_of(tile)))
            last = min(self._stop, source._ends[at], row + step)
            places = [tuple(int(i) for i in np.unravel_index(n - first, grid)) for n in range(row, last)]
            yield self._table(array, tile, places)
            row = last

    def _table(self, array: ZarrArray, tile: tuple[int, ...], places: list[tuple[int, ...]]) -> pa.Table:
        region = Region(self._source._store, array)
        bounds = [
            [(i * t, min((i + 1) * t, n)) for i, t, n in zip(place, tile, array.shape, strict=True)]
            for place in places
        ]
        return convert.table_from_columns(
            {
                "array": [array.path] * len(places),
                "chunk_index": pa.array([list(place) for place in places], pa.list_(pa.int64())),
                "chunk_slices": pa.array(
                    [[list(pair) for pair in row] for row in bounds], pa.list_(pa.list_(pa.int64()))
                ),
                "chunk": _column([region.read(row) for row in bounds]),
            }
        )


class _ReadStretches:
    """Rows that are one stretch of the first axis of all arrays."""

    def __init__(self, source: ZarrDatasource, start: int, stop: int) -> None:
        self._source, self._start, self._stop = source, start, stop

    def __call__(self) -> Iterator[pa.Table]:
        source = self._source
        regions = [Region(source._store, array) for array in source._arrays]
        length, step = source._arrays[0].shape[0], source._tiles[0][0]
        width = sum(array.bytes_of((step + source._overlap, *array.shape[1:])) for array in source._arrays)
        together = max(1, _BLOCK_BYTES // max(1, width))
        for first in range(self._start, self._stop, together):
            rows = range(first, min(first + together, self._stop))
            bounds = [(row * step, min((row + 1) * step, length)) for row in rows]
            columns: dict[str, Any] = {
                "t_start": [start for start, _ in bounds],
                "t_stop": [stop for _, stop in bounds],
            }
            for array, region in zip(source._arrays, regions, strict=True):
                rest = [(0, n) for n in array.shape[1:]]
                columns[array.path] = _column(
                    [
                        region.read([(start, min(stop + source._overlap, length)), *rest])
                        for start, stop in bounds
                    ]
                )
            yield convert.table_from_columns(columns)


def _column(parts: list[np.ndarray[Any, Any]]) -> Any:
    return convert.column_from_values(parts)


def _grid(array: ZarrArray, tile: tuple[int, ...]) -> tuple[int, ...]:
    """How many parts there are on each axis."""
    return tuple(-(-n // t) for n, t in zip(array.shape, tile, strict=True))


def _check_overlap(overlap: int, aligned: bool) -> None:
    if not isinstance(overlap, int) or overlap < 0:
        raise ValueError(f"overlap must be a non-negative integer, got {overlap!r}")
    if overlap and not aligned:
        raise ValueError(
            f"overlap={overlap}: overlap requires align_axis_0=True, where a row has a next one; a chunk's row says in "
            "`chunk_slices` where it lies."
        )


def _checked_shapes(given: Any) -> Any:
    def check(name: str, value: Any) -> tuple[int, ...]:
        is_list = isinstance(value, (list, tuple)) and len(value) > 0
        if not is_list or not all(
            isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in value
        ):
            more = ", or a dict" if name == "chunk_shapes" and not is_list else ""
            raise ValueError(
                f"{name} must be a non-empty sequence of positive integers (list or tuple){more}, got {value!r}"
            )
        return tuple(int(n) for n in value)

    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {key.strip("/"): check(f"chunk_shapes[{key!r}]", value) for key, value in given.items()}
    return check("chunk_shapes", given)


def _tiles(arrays: list[ZarrArray], shapes: Any) -> list[tuple[int, ...]]:
    """The shape of the parts of each array: what was asked for on the first axes, the store's on the others."""
    if isinstance(shapes, dict):
        unknown = sorted(set(shapes) - {array.path for array in arrays})
        if unknown:
            raise ValueError(
                f"Unknown array path(s) in chunk_shapes: {unknown}; there are {[array.path for array in arrays]}."
            )
    tiles = []
    for array in arrays:
        asked = shapes.get(array.path, ()) if isinstance(shapes, dict) else shapes
        if len(asked) > len(array.shape):
            raise ValueError(
                f"chunk_shapes override for array {array.path!r} has {len(asked)} axes, {asked}, but the array of shape "
                f"{array.shape!r} has rank {len(array.shape)}: it may not be longer."
            )
        tiles.append((*asked, *array.chunks[len(asked) :]))
    return tiles


def _check_aligned(arrays: list[ZarrArray], tiles: list[tuple[int, ...]]) -> None:
    scalars = [array.path for array in arrays if not array.shape]
    if scalars:
        raise ValueError(
            "align_axis_0=True requires every selected array to have at least one axis, but these are 0-D (scalar): "
            f"{scalars}. Drop them with array_paths=[...]."
        )
    lengths = {array.path: array.shape[0] for array in arrays}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"All selected arrays must share shape[0] when align_axis_0=True. Got: {lengths}. Choose some that do with "
            "array_paths=[...]."
        )
    steps = {array.path: tile[0] for array, tile in zip(arrays, tiles, strict=True)}
    if len(set(steps.values())) > 1:
        raise ValueError(
            f"Aligned arrays must share the same axis-0 chunk size. Got: {steps}. Pass chunk_shapes=[N], or one by array, "
            "so that they do."
        )


__all__ = ["ZarrDatasource"]
