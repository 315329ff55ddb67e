"""WebDataset: samples as files of one name in a tar archive, `0001.jpg` beside `0001.cls`."""

from __future__ import annotations

import fnmatch
import io
import json
import tarfile
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from skate.data.block import BlockAccessor

_BLOCK_ROWS = 256
_TEXT = ("txt", "text", "transcript")
_NUMBER = ("cls", "cls2", "class", "count", "index", "inx", "id")
_IMAGE = ("jpg", "jpeg", "png", "ppm", "pgm", "pbm", "pnm")


def decode(sample: dict[str, Any], kind: bool | str | None = True) -> dict[str, Any]:
    """The values behind the bytes of a sample, by the endings of their names.

    Args:
        sample: Endings to bytes.
        kind: `"PIL"` leaves images as Pillow's objects; anything else makes arrays of them.
    """
    return {key: _decode_one(key, value, kind) for key, value in sample.items()}


def _decode_one(key: str, value: Any, kind: bool | str | None) -> Any:
    if key.startswith("__") or not isinstance(value, bytes):
        return value
    ending = key.rpartition(".")[2].lower()
    if ending in _TEXT:
        return value.decode()
    if ending in _NUMBER:
        return int(value)
    if ending == "json":
        return json.loads(value)
    if ending == "npy":
        return np.load(io.BytesIO(value), allow_pickle=False)
    if ending in _IMAGE:
        from skate.data.interop import require_module

        image = require_module("PIL.Image", "pillow").open(io.BytesIO(value))
        return image if kind == "PIL" else np.asarray(image)
    return value


def encode(sample: dict[str, Any], file_format: str | None = None) -> dict[str, Any]:
    """The bytes of the values of a sample, by the endings of their names.

    Raises:
        ValueError: there is no way to write a value under its name.
    """
    return {key: _encode_one(key, value) for key, value in sample.items()}


def _encode_one(key: str, value: Any) -> Any:
    if key.startswith("__") or isinstance(value, bytes):
        return value
    ending = key.rpartition(".")[2].lower()
    if ending in _NUMBER or ending in _TEXT or isinstance(value, str):
        return str(value).encode()
    if ending == "json":
        return json.dumps(value).encode()
    buffer = io.BytesIO()
    if ending == "npy":
        np.save(buffer, np.asarray(value))
        return buffer.getvalue()
    if ending in _IMAGE:
        from skate.data.interop import require_module

        image = require_module("PIL.Image", "pillow").fromarray(np.asarray(value))
        image.save(buffer, format="jpeg" if ending in ("jpg", "jpeg") else ending)
        return buffer.getvalue()
    raise ValueError(
        f"write_webdataset: no way to write {type(value)} as .{ending}: make bytes of it in an encoder."
    )


def _selects(choice: Any, name: str) -> bool:
    if choice is None:
        return True
    if callable(choice):
        return bool(choice(name))
    return any(
        name == pattern or fnmatch.fnmatch("." + name, pattern) or fnmatch.fnmatch(name, pattern)
        for pattern in choice
    )


def _renamed(rename: Any, name: str) -> str:
    if rename is None:
        return name
    if callable(rename):
        return str(rename(name))
    for old, new in rename:
        if fnmatch.fnmatch(name, old):
            return str(new)
    return name


class WebDatasetDatasource(FileBasedDatasource):
    """Tar archives of samples: files of one name make a row, with that name as `__key__` and the archive as `__url__`.

    Args:
        paths: As for all files.
        decoder: True decodes by endings; functions, or a list of them, decode otherwise; None leaves bytes.
        fileselect: Names of files to read, patterns of them, or a function that chooses.
        filerename: Pairs of a pattern and a new name, or a function.
        suffixes: Endings to read, or a function that chooses.
        expand_json: Whether the keys of `.json` files become columns.
        options: As for all files.
    """

    def __init__(
        self,
        paths: Any,
        decoder: Any = True,
        fileselect: Any = None,
        filerename: Any = None,
        suffixes: Any = None,
        expand_json: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(paths, **options)
        self._decoder, self._select, self._rename = decoder, fileselect, filerename
        self._suffixes, self._expand = suffixes, expand_json

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        rows: list[dict[str, Any]] = []
        for sample in self._samples(io.BytesIO(f.read()), path):
            rows.append(self._finish({**sample, "__url__": path}))
            if len(rows) == _BLOCK_ROWS:
                yield convert.table_from_rows(rows)
                rows = []
        if rows:
            yield convert.table_from_rows(rows)

    def _samples(self, stream: io.BytesIO, path: str) -> Iterator[dict[str, Any]]:
        sample: dict[str, Any] = {}
        try:
            with tarfile.open(fileobj=stream, mode="r:*") as archive:
                for member in archive:
                    if not member.isfile() or not _selects(self._select, member.name):
                        continue
                    name = _renamed(self._rename, member.name)
                    folder, _, base = name.rpartition("/")
                    stem, dot, ending = base.partition(".")
                    if not dot or not stem or not _selects(self._suffixes, ending):
                        continue
                    key = f"{folder}/{stem}" if folder else stem
                    if sample and sample["__key__"] != key:
                        yield sample
                        sample = {}
                    file = archive.extractfile(member)
                    if file is not None:
                        sample.setdefault("__key__", key)
                        sample[ending] = file.read()
        except tarfile.TarError as error:
            raise ValueError(f"{path} is no tar archive: {error}") from error
        if sample:
            yield sample

    def _finish(self, sample: dict[str, Any]) -> dict[str, Any]:
        steps = self._decoder if isinstance(self._decoder, list) else [self._decoder]
        for step in steps:
            if step is True or isinstance(step, str):
                sample = decode(sample, step)
            elif callable(step):
                sample = step(sample)
        if self._expand and "json" in sample:
            content = sample["json"]
            sample.update(json.loads(content) if isinstance(content, bytes) else content)
        return sample


class WebDatasetDatasink(BlockBasedFileDatasink):
    """Writes tar archives of samples.

    Args:
        path: The folder.
        encoder: True encodes by endings; functions, or a list of them, encode otherwise.
        options: As for all file sinks.
    """

    def __init__(self, path: str, *, encoder: Any = True, **options: Any) -> None:
        super().__init__(path, file_format="tar", **options)
        self._encoder = encoder

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block as one archive."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for row in block.iter_rows(public_row_format=False):
                _add(archive, self._encoded(row), str(row.get("__key__") or uuid.uuid4().hex))
        file.write(buffer.getvalue())

    def _encoded(self, row: dict[str, Any]) -> dict[str, Any]:
        steps: list[bool | Callable[[Any], Any]] = (
            self._encoder if isinstance(self._encoder, list) else [self._encoder]
        )
        for step in steps:
            if callable(step):
                row = step(row)
            elif step:
                row = encode(row)
        return row


def _add(archive: tarfile.TarFile, sample: dict[str, Any], key: str) -> None:
    for ending, value in sample.items():
        if ending.startswith("__") or value is None:
            continue
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(value)
        archive.addfile(info, io.BytesIO(value))


__all__ = ["WebDatasetDatasink", "WebDatasetDatasource", "decode", "encode"]
