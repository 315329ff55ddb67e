"""Zarr stores of version 2: what arrays they hold, and parts of them as NumPy arrays.

A store is a folder: `.zarray` describes an array, and each chunk is a file beside it, named by its place in the grid.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import itertools
import json
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.fs as pafs

from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Codecs that need no package; numcodecs knows the others.
_PLAIN: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.decompress,
    "gzip": gzip.decompress,
    "bz2": bz2.decompress,
}


@dataclass(frozen=True)
class ZarrArray:
    """What `.zarray` says of an array.

    Attributes:
        path: Where it is in the store; empty if the store is the array.
        shape: Its shape.
        chunks: The shape of a chunk in the store.
        dtype: The type of its elements.
        order: How elements of a chunk follow each other: `C` or `F`.
        fill: The element of chunks that are not there.
        codecs: How chunks are encoded, first the first that was applied.
        separator: What stands between the numbers of a chunk's name.
    """

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str
    fill: Any
    codecs: tuple[dict[str, Any], ...]
    separator: str

    @staticmethod
    def of(path: str, text: dict[str, Any]) -> ZarrArray:
        """The array that a `.zarray` describes."""
        kind = text["dtype"]
        dtype: np.dtype[Any] = np.dtype([tuple(f) for f in kind] if isinstance(kind, list) else kind)
        compressor = text.get("compressor")
        return ZarrArray(
            path,
            tuple(text["shape"]),
            tuple(text["chunks"]),
            dtype,
            text.get("order", "C"),
            _fill_value(text.get("fill_value"), dtype),
            (*(text.get("filters") or ()), *([compressor] if compressor else ())),
            text.get("dimension_separator", "."),
        )

    def bytes_of(self, tile: tuple[int, ...]) -> int:
        """Bytes of a part of this shape."""
        return math.prod(tile) * self.dtype.itemsize

    def decode(self, data: bytes) -> np.ndarray[Any, Any]:
        """A chunk from what its file holds."""
        values: Any = data
        for config in reversed(self.codecs):
            plain = _PLAIN.get(config["id"])
            values = plain(values) if plain else require_module("numcodecs").get_codec(config).decode(values)
        if not isinstance(values, np.ndarray):
            values = np.frombuffer(values, self.dtype)
        elif values.dtype.kind != "O":
            values = values.reshape(-1).view(self.dtype)
        return np.asarray(values.reshape(self.chunks, order=self.order))


def _fill_value(value: Any, dtype: np.dtype[Any]) -> Any:
    if value is None:
        return np.zeros((), dtype)[()] if dtype.kind != "O" else None
    if dtype.kind in "SV":
        data = base64.standard_b64decode(value)
        return np.frombuffer(data.ljust(dtype.itemsize, b"\0"), dtype)[0]
    if dtype.kind == "f":
        return float(value)  # NaN and the infinities are text
    if dtype.kind == "c":
        return complex(*(float(part) for part in value))
    if dtype.kind in "mM":
        return np.array(int(value), "int64").view(dtype)[()]
    return value


class ZarrStore:
    """A store on a file system.

    Args:
        root: Its folder.
        filesystem: The file system.
    """

    def __init__(self, root: str, filesystem: pafs.FileSystem) -> None:
        self.root, self.filesystem = root.rstrip("/"), filesystem

    def read(self, *parts: str) -> bytes | None:
        """The bytes of a file of the store; None if there is none."""
        path = "/".join(part for part in (self.root, *parts) if part)
        try:
            with self.filesystem.open_input_stream(path, compression=None) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def _json(self, *parts: str) -> dict[str, Any] | None:
        data = self.read(*parts)
        found: dict[str, Any] | None = None if data is None else json.loads(data)
        return found

    def arrays(self, paths: Iterable[str] | None, scan: bool) -> dict[str, ZarrArray]:
        """The arrays to read, by their paths.

        Args:
            paths: Those wanted; None for all.
            scan: Whether all folders may be looked into, where the store has no list of its arrays.

        Raises:
            ValueError: the store has no list, and neither argument helps; or there is no such array.
        """
        wanted = [path.strip("/") for path in paths or ()] or None
        alone = self._json(".zarray")
        if alone is not None:
            if wanted not in (None, [""]):
                raise ValueError(
                    f"This Zarr store is a single root-level array, and array_paths={wanted!r} asks for others: leave "
                    "array_paths out."
                )
            return {"": ZarrArray.of("", alone)}
        listed = self._json(".zmetadata")
        if listed is not None:
            ending = "/.zarray"
            known = {
                key.removesuffix(ending): ZarrArray.of(key.removesuffix(ending), text)
                for key, text in listed["metadata"].items()
                if key.endswith(ending)
            }
            return _chosen(known, wanted)
        if wanted is not None:
            return {path: self._array(path) for path in wanted}
        if not scan:
            if self._json(".zgroup") is None:
                raise ValueError(
                    f"nothing found at path {self.root!r}: there is no Zarr store of version 2. One of version 3 can't be read."
                )
            raise ValueError(
                f"No array_paths were provided and the Zarr store at {self.root!r} does not contain .zmetadata. Pass "
                "array_paths=[...] or set allow_full_metadata_scan=True."
            )
        return {path: self._array(path) for path in self._scan()}

    def _array(self, path: str) -> ZarrArray:
        text = self._json(path, ".zarray")
        if text is not None:
            return ZarrArray.of(path, text)
        if self._json(path, ".zgroup") is not None:
            raise ValueError(f"Array path {path!r} is a group, not an array: name the arrays in it.")
        raise ValueError(f"Array path {path!r} not found in Zarr store at {self.root!r}.")

    def _scan(self) -> list[str]:
        found = self.filesystem.get_file_info(
            pafs.FileSelector(self.root, recursive=True, allow_not_found=True)
        )
        start = len(self.root) + 1 if self.root else 0
        return sorted(info.path[start:].rpartition("/")[0] for info in found if info.base_name == ".zarray")


def _chosen(known: dict[str, ZarrArray], wanted: list[str] | None) -> dict[str, ZarrArray]:
    if wanted is None:
        return dict(sorted(known.items()))
    missing = [path for path in wanted if path not in known]
    if missing:
        raise ValueError(f"Array(s) not found: {missing}. Available: {sorted(known)}.")
    return {path: known[path] for path in wanted}


class Region:
    """Reads parts of an array, whatever its chunks are. The chunk that was read last is kept.

    Args:
        store: The store.
        array: The array.
    """

    def __init__(self, store: ZarrStore, array: ZarrArray) -> None:
        self._store, self._array = store, array
        self._last: tuple[tuple[int, ...], np.ndarray[Any, Any]] | None = None

    def read(self, bounds: list[tuple[int, int]]) -> np.ndarray[Any, Any]:
        """The part between a start and a stop on each axis."""
        array = self._array
        out = np.empty([stop - start for start, stop in bounds], array.dtype)
        for index in self._overlapping(bounds):
            chunk = self._chunk(index)
            here, there = [], []
            for (start, stop), size, at in zip(bounds, array.chunks, index, strict=True):
                first, last = max(start, at * size), min(stop, (at + 1) * size)
                here.append(slice(first - start, last - start))
                there.append(slice(first - at * size, last - at * size))
            out[tuple(here)] = chunk[tuple(there)]
        return out

    def _overlapping(self, bounds: list[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
        sizes = self._array.chunks
        return itertools.product(
            *(
                range(start // size, -(-stop // size))
                for (start, stop), size in zip(bounds, sizes, strict=True)
            )
        )

    def _chunk(self, index: tuple[int, ...]) -> np.ndarray[Any, Any]:
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        array = self._array
        name = array.separator.join(map(str, index)) or "0"
        data = self._store.read(array.path, name)
        chunk = np.full(array.chunks, array.fill, array.dtype) if data is None else array.decode(data)
        self._last = (index, chunk)
        return chunk


__all__ = ["Region", "ZarrArray", "ZarrStore"]
