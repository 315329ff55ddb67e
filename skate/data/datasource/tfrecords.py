"""TFRecord files of `tf.train.Example` messages, read and written without TensorFlow.

A record is its length, a checksum of that, the message and a checksum of it. The message is a map of names to lists of bytes,
floats or whole numbers, in the wire format of protocol buffers; both are simple enough to be handled here.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from skate.data.block import BlockAccessor

_BLOCK_ROWS = 8192
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _crc_table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)  # noqa: PLW2901 - bit by bit
        table.append(number)
    return table


_CRC = _crc_table()


def masked_crc(data: bytes) -> int:
    """The checksum of the format: CRC-32C, rotated and shifted so that checksums of checksums are no trouble."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return result, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """The fields of a message: number, kind and value."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of kind {kind}, which messages of this format do not have")
        if at + size > len(data):
            raise ValueError("a field is longer than its message")
        yield number, kind, data[at : at + size]
        at += size


def _feature(data: bytes) -> list[Any]:
    for number, _, content in _fields(data):
        if number == 1:
            return [value for _, _, value in _fields(content)]
        if number == 2:
            floats: list[Any] = []
            for _, _, value in _fields(content):
                floats += np.frombuffer(value, "<f4").tolist()
            return floats
        if number == 3:
            return list(_integers(content))
    return []


def _integers(content: bytes) -> Iterator[int]:
    for _, kind, value in _fields(content):
        if kind == _VARINT:
            yield _signed(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield _signed(number)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def parse_example(data: bytes) -> dict[str, list[Any]]:
    """The lists of a `tf.train.Example`, by name.

    Raises:
        ValueError: the bytes are no such message.
    """
    row: dict[str, list[Any]] = {}
    for number, _, features in _fields(data):
        if number != 1:
            continue
        for _, _, entry in _fields(features):
            parts = {part: value for part, _, value in _fields(entry)}
            row[parts[1].decode()] = _feature(parts.get(2, b""))
    return row


def _write_varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return _write_varint(number << 3 | _BYTES) + _write_varint(len(data)) + data


def make_example(row: dict[str, Any]) -> bytes:
    """A `tf.train.Example` of a row.

    Raises:
        ValueError: a value is neither a number, text nor bytes, nor a list of them.
    """
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, _make_feature(name, row[name]))) for name in row
    ]
    return _field(1, b"".join(entries))


def _make_feature(name: str, value: Any) -> bytes:
    if value is None:
        return b""
    items = (
        value.ravel().tolist()
        if isinstance(value, np.ndarray)
        else value
        if isinstance(value, list)
        else [value]
    )
    if not items:
        return b""
    if all(isinstance(item, (bytes, str)) for item in items):
        encoded = [item.encode() if isinstance(item, str) else item for item in items]
        return _field(1, b"".join(_field(1, item) for item in encoded))
    if all(isinstance(item, (bool, int)) for item in items):
        return _field(3, _field(1, b"".join(_write_varint(int(item)) for item in items)))
    if all(isinstance(item, (bool, int, float)) for item in items):
        return _field(2, _field(1, np.array(items, "<f4").tobytes()))
    raise ValueError(
        f"write_tfrecords: the column {name!r} holds {type(items[0])}: it must hold numbers, text, bytes, or lists of one of them."
    )


class TFRecordDatasource(FileBasedDatasource):
    """TFRecord files of examples: a row for each, a column for each name.

    A column whose lists all have one item at most is a column of those items.
    """

    factor = 1.5

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        rows: list[dict[str, list[Any]]] = []
        try:
            for record in _records(io.BytesIO(f.read())):
                rows.append(parse_example(record))
                if len(rows) == _BLOCK_ROWS:
                    yield _table(rows)
                    rows = []
        except (ValueError, IndexError, UnicodeDecodeError, struct.error) as error:
            raise ValueError(f"{path} is no TFRecord file of examples, or is damaged: {error}") from error
        if rows:
            yield _table(rows)


def _records(stream: io.BytesIO) -> Iterator[bytes]:
    while head := stream.read(12):
        if len(head) < 12:
            raise ValueError("it ends within a record")
        (size,) = struct.unpack("<Q", head[:8])
        if masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
            raise ValueError("the checksum of a record's length does not fit")
        record = stream.read(size)
        if len(record) < size or len(stream.read(4)) < 4:
            raise ValueError("it ends within a record")
        yield record


def _table(rows: list[dict[str, list[Any]]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, list[Any]] = {}
    for name in names:
        lists = [row.get(name) for row in rows]
        if all(items is None or len(items) <= 1 for items in lists):
            columns[name] = [items[0] if items else None for items in lists]
        else:
            columns[name] = lists
    return convert.table_from_columns(columns)


class TFRecordDatasink(BlockBasedFileDatasink):
    """Writes TFRecord files of examples.

    Args:
        path: The folder.
        options: As for all file sinks.
    """

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, file_format="tfrecords", **options)

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block, a record for each row."""
        for row in block.iter_rows(public_row_format=False):
            record = make_example(row)
            head = struct.pack("<Q", len(record))
            file.write(
                head + struct.pack("<I", masked_crc(head)) + record + struct.pack("<I", masked_crc(record))
            )


__all__ = ["TFRecordDatasink", "TFRecordDatasource", "make_example", "masked_crc", "parse_example"]
