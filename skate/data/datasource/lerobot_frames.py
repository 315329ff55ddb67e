"""Frames of a camera of a LeRobot episode, read in order: from a video, or from images in the rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow.fs as pafs


class Frames:
    """A window that moves over the frames of an episode; frames before it are forgotten.

    Args:
        source: The frames, one for each row of the episode from `first` on.
        first: The row of the first frame.
    """

    def __init__(self, source: Iterator[np.ndarray[Any, Any]], first: int = 0) -> None:
        self._source, self._next = source, first
        self._kept: dict[int, np.ndarray[Any, Any]] = {}

    def get(self, rows: Sequence[int], keep_from: int) -> list[np.ndarray[Any, Any]]:
        """The frames of some rows.

        Args:
            rows: The rows, none of them before an earlier call's `keep_from`.
            keep_from: Frames before this row are not asked for again.
        """
        last = max(rows)
        while self._next <= last:
            self._kept[self._next] = next(self._source)
            self._next += 1
        found = [self._kept[row] for row in rows]
        for row in [row for row in self._kept if row < keep_from]:
            del self._kept[row]
        return found


def video_frames(
    path: str, filesystem: pafs.FileSystem, seconds: Sequence[float], tolerance: float
) -> Iterator[np.ndarray[Any, Any]]:
    """The frames of a video that are shown at these times, as height, width and colours.

    Args:
        path: The video file.
        filesystem: Its file system.
        seconds: The times, in order.
        tolerance: By how many seconds a frame may be off.

    Raises:
        ValueError: no frame is near enough to a time, or the file is no video.
    """
    av = require_module("av")
    with filesystem.open_input_file(path) as file:
        try:
            with av.open(file) as container:
                stream = container.streams.video[0]
                if seconds and seconds[0] > 0:
                    # To the last key frame before it; what lies between is decoded and passed over.
                    container.seek(int(seconds[0] / stream.time_base), stream=stream)
                yield from _nearest(container.decode(stream), seconds, tolerance, path)
        except av.error.FFmpegError as error:
            raise ValueError(f"{path} is no video file that FFmpeg reads: {error}") from error


def _nearest(
    frames: Iterator[Any], seconds: Sequence[float], tolerance: float, path: str
) -> Iterator[np.ndarray[Any, Any]]:
    """For each time the frame that is nearest to it; frames and times are both in order."""
    before: Any = None
    after: Any = next(frames, None)
    for time in seconds:
        while after is not None and after.time < time:
            before, after = after, next(frames, None)
        candidates = [frame for frame in (before, after) if frame is not None]
        best = min(candidates, key=lambda frame: abs(frame.time - time), default=None)
        if best is None or abs(best.time - time) > tolerance:
            shown = "none" if best is None else f"{best.time:.4f} s"
            raise ValueError(
                f"{path}: no frame within {tolerance} s of {time:.4f} s, the nearest is at {shown}: the rows and the video "
                "do not fit; frame_tolerance_s allows for more."
            )
        yield best.to_ndarray(format="rgb24")


def image_frames(
    cells: Sequence[Any], root: str, filesystem: pafs.FileSystem
) -> Iterator[np.ndarray[Any, Any]]:
    """The images in cells of a table, as height, width and colours.

    Args:
        cells: Dicts with the image's file as `bytes`, or its `path` in the dataset.
        root: The dataset's folder.
        filesystem: Its file system.

    Raises:
        ValueError: a cell has neither.
    """
    image = require_module("PIL.Image", "pillow")
    for cell in cells:
        data, path = (cell or {}).get("bytes"), (cell or {}).get("path")
        if data is None and path is None:
            raise ValueError(
                f"a row of the dataset at {root!r} has neither the bytes of its image nor a path to it."
            )
        if data is None:
            with filesystem.open_input_stream(f"{root}/{path}") as stream:
                data = stream.read()
        yield np.asarray(image.open(io.BytesIO(data)).convert("RGB"), dtype=np.uint8)


__all__ = ["Frames", "image_frames", "video_frames"]
