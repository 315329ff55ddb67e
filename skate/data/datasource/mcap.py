"""MCAP recordings: messages of robots and vehicles."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_ROWS = 1024


@dataclass
class TimeRange:
    """From a start up to an end, in nanoseconds.

    Attributes:
        start_time: The first time that is in it.
        end_time: The first time that is not.

    Raises:
        ValueError: a time is negative, or the start is not before the end.
    """

    start_time: int
    end_time: int

    def __post_init__(self) -> None:
        if self.start_time < 0 or self.end_time < 0:
            raise ValueError(
                f"time values must be non-negative, got start_time={self.start_time}, end_time={self.end_time}"
            )
        if self.start_time >= self.end_time:
            raise ValueError(f"start_time ({self.start_time}) must be less than end_time ({self.end_time})")


class MCAPDatasource(FileBasedDatasource):
    """MCAP files, a row for each message.

    Args:
        paths: As for all files.
        topics: The topics to read; None for all.
        time_range: When the messages were logged.
        message_types: Names of the messages' schemas to read; None for all.
        include_metadata: Whether to add what the file says of the channel and the schema.
        options: As for all files.

    Raises:
        ImportError: mcap is missing.
    """

    def __init__(
        self,
        paths: Any,
        topics: Any = None,
        time_range: TimeRange | tuple[int, int] | None = None,
        message_types: Any = None,
        include_metadata: bool = True,
        **options: Any,
    ) -> None:
        require_module("mcap")
        super().__init__(paths, **options)
        self._topics = None if topics is None else sorted(topics)
        self._range = TimeRange(*time_range) if isinstance(time_range, tuple) else time_range
        self._types = None if message_types is None else set(message_types)
        self._metadata = include_metadata

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        reader = require_module("mcap.reader", "mcap").make_reader(f)
        messages = reader.iter_messages(topics=self._topics, **self._times(reader))
        rows: list[dict[str, Any]] = []
        try:
            for schema, channel, message in messages:
                if self._types is not None and (schema is None or schema.name not in self._types):
                    continue
                rows.append(self._row(schema, channel, message))
                if len(rows) == _ROWS:
                    yield convert.table_from_rows(rows)
                    rows = []
        except require_module("mcap.exceptions", "mcap").McapError as error:
            raise ValueError(f"{path} is no MCAP file, or it is damaged: {error}") from error
        if rows:
            yield convert.table_from_rows(rows)

    def _times(self, reader: Any) -> dict[str, int]:
        if self._range is None:
            return {}
        accepted = inspect.signature(reader.iter_messages).parameters
        names = ("starting_at", "ending_before") if "starting_at" in accepted else ("start_time", "end_time")
        return dict(zip(names, (self._range.start_time, self._range.end_time), strict=True))

    def _row(self, schema: Any, channel: Any, message: Any) -> dict[str, Any]:
        data = message.data
        if channel.message_encoding == "json":
            try:
                data = json.loads(data)
            except ValueError:  # it says that it is JSON, and is not: its bytes are what there is
                pass
        row = {
            "data": data,
            "topic": channel.topic,
            "log_time": message.log_time,
            "publish_time": message.publish_time,
            "sequence": message.sequence,
        }
        if self._metadata:
            row |= {
                "channel_id": message.channel_id,
                "message_encoding": channel.message_encoding,
                "schema_name": schema.name if schema else None,
                "schema_encoding": schema.encoding if schema else None,
                "schema_data": schema.data if schema else None,
            }
        return row


__all__ = ["MCAPDatasource", "TimeRange"]
