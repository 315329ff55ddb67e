"""Audio and video files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_FRAMES = 16  # decoded frames of a block


class AudioDatasource(FileBasedDatasource):
    """Audio files, a row for each: amplitudes by channel and sample, and samples a second.

    Args:
        paths: As for all files.
        options: As for all files.

    Raises:
        ImportError: soundfile is missing.
    """

    _FILE_EXTENSIONS: ClassVar[list[str] | None] = [
        "mp3", "wav", "aac", "flac", "ogg", "m4a", "wma", "alac", "aiff", "pcm", "amr", "opus", "ra", "rm", "au", "mid",
        "midi", "caf",
    ]  # fmt: skip
    factor = 4.0

    def __init__(self, paths: Any, **options: Any) -> None:
        require_module("soundfile")
        super().__init__(paths, **options)

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        soundfile = require_module("soundfile")
        try:
            samples, rate = soundfile.read(io.BytesIO(f.read()), always_2d=True, dtype="float32")
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{path} is no audio file that libsndfile reads: {error}") from error
        amplitude = np.ascontiguousarray(samples.T)[np.newaxis, ...]
        yield convert.table_from_columns({"amplitude": amplitude, "sample_rate": [rate]})

    def _rows_of(self, files: int) -> int | None:
        return files


class VideoDatasource(FileBasedDatasource):
    """Video files, a row for each frame.

    Args:
        paths: As for all files.
        include_timestamps: Whether to add when each frame is shown, as start and end in seconds.
        fps: About how many frames of each second to keep; None keeps all.
        resize: Height and width to resize to.
        options: As for all files.

    Raises:
        ImportError: PyAV is missing.
        ValueError: `fps` or `resize` is not positive.
    """

    _FILE_EXTENSIONS: ClassVar[list[str] | None] = [
        "mp4", "mkv", "mov", "avi", "wmv", "flv", "webm", "m4v", "3gp", "mpeg", "mpg", "ts", "ogv", "rm", "rmvb", "vob",
        "asf", "f4v", "m2ts", "mts", "divx", "xvid", "mxf",
    ]  # fmt: skip
    factor = 100.0

    def __init__(
        self,
        paths: Any,
        include_timestamps: bool = False,
        fps: int | None = None,
        resize: tuple[int, int] | None = None,
        **options: Any,
    ) -> None:
        require_module("av")
        if fps is not None and fps <= 0:
            raise ValueError(f"`fps` must be positive, got {fps}.")
        if resize is not None and (len(resize) != 2 or min(resize) <= 0):
            raise ValueError(f"`resize` must be two positive integers, height and width, got {resize}.")
        super().__init__(paths, **options)
        self._timestamps, self._fps, self._resize = include_timestamps, fps, resize

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        av = require_module("av")
        try:
            with av.open(io.BytesIO(f.read())) as container:
                yield from self._frames(container)
        except av.error.FFmpegError as error:
            raise ValueError(f"{path} is no video file that FFmpeg reads: {error}") from error

    def _frames(self, container: Any) -> Iterator[pa.Table]:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 1)
        stride = 1 if self._fps is None else max(1, round(rate / self._fps))
        rows: list[dict[str, Any]] = []
        for index, frame in enumerate(container.decode(stream)):
            if index % stride:
                continue
            row: dict[str, Any] = {"frame": _pixels(frame, self._resize), "frame_index": index}
            if self._timestamps:
                start = float(frame.time if frame.time is not None else index / rate)
                row["frame_timestamp"] = np.array([start, start + 1 / rate])
            rows.append(row)
            if len(rows) == _FRAMES:
                yield convert.table_from_rows(rows)
                rows = []
        if rows:
            yield convert.table_from_rows(rows)


def _pixels(frame: Any, size: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    """A frame as height, width and colours, resized if that is asked for."""
    if size is not None:
        frame = frame.reformat(width=size[1], height=size[0])
    pixels: np.ndarray[Any, Any] = frame.to_ndarray(format="rgb24")
    return pixels


__all__ = ["AudioDatasource", "VideoDatasource"]
