"""LeRobot datasets of version 3: what robots did, frame by frame, with what their cameras saw."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pds

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource import files as fs
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.datasource.lerobot_frames import Frames, image_frames, video_frames
from skate.data.datasource.lerobot_meta import Episode, LeRobotMeta, read_meta
from skate.data.extensions.tensor import ArrowVariableShapedTensorArray
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_BLOCK_BYTES = 32 << 20  # rows with their frames are put together to blocks of about so much
_GRANULARITIES = ("file", "episode")


@dataclass(frozen=True)
class _Segment:
    """Successive rows of one dataset, which are read together.

    Attributes:
        dataset: Which of the datasets.
        start: The first row.
        stop: The row after the last.
    """

    dataset: int
    start: int
    stop: int


class LeRobotDatasource(Datasource):
    """The frames of LeRobot datasets.

    Args:
        root: The dataset's folder or address, or several of one kind.
        episodes: Numbers of the episodes to read; None for all.
        read_granularity: What a task reads: `file`, all episodes of a file; or `episode`, one.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        storage_options: Credentials and settings of the store, as fsspec takes them.
        frame_tolerance_s: By how many seconds a video's frame may be off; None for half of a frame's time.
        delta_timestamps: For some columns, seconds before and after each row: the column then holds the values at all of
            these times.
        delta_tolerance_s: By how many seconds such a time may be off the time of a frame.

    Raises:
        FileNotFoundError: there is no dataset.
        ValueError: an argument is none of its values, or the datasets are not of one kind.
        ImportError: there are videos and PyAV is missing, or images and Pillow is.
    """

    def __init__(
        self,
        root: str | list[str],
        *,
        episodes: list[int] | None = None,
        read_granularity: str = "file",
        filesystem: Any = None,
        storage_options: dict[str, Any] | None = None,
        frame_tolerance_s: float | None = None,
        delta_timestamps: dict[str, list[float]] | None = None,
        delta_tolerance_s: float = 1e-4,
    ) -> None:
        super().__init__()
        if frame_tolerance_s is not None and frame_tolerance_s <= 0:
            raise ValueError(
                f"frame_tolerance_s must be a positive number of seconds, got {frame_tolerance_s!r}."
            )
        granularity = str(getattr(read_granularity, "value", read_granularity))
        if granularity not in _GRANULARITIES:
            raise ValueError(f"read_granularity must be one of {_GRANULARITIES}, got {read_granularity!r}.")
        if storage_options and filesystem is None:
            first = root if isinstance(root, str) else root[0]
            fsspec = require_module("fsspec")
            filesystem = fsspec.core.url_to_fs(first, **storage_options)[0]
        found, self._filesystem = fs.resolve_paths(root, filesystem)
        self._metas = [read_meta(path.rstrip("/"), self._filesystem) for path in found]
        _check_alike(self._metas)
        self._chosen = _chosen_episodes(self._metas, episodes)
        first_meta = self._metas[0]
        if first_meta.video_keys:
            require_module("av")
        if first_meta.image_keys:
            require_module("PIL.Image", "pillow")
        self._tolerance = frame_tolerance_s if frame_tolerance_s is not None else 0.5 / first_meta.fps
        self._steps = _steps(first_meta, delta_timestamps or {}, delta_tolerance_s)
        self._segments = list(_segments(self._chosen, granularity))

    def get_name(self) -> str:
        """`LeRobot`."""
        return "LeRobot"

    @property
    def meta(self) -> LeRobotMeta:
        """What the first dataset says of itself."""
        return self._metas[0]

    def default_num_blocks(self) -> int:
        """How many tasks read each file, or each episode, as a whole."""
        return len(self._segments)

    def _row_bytes(self) -> int:
        frames = 0
        for name in (*self.meta.video_keys, *self.meta.image_keys):
            frames += int(np.prod(self.meta.features[name]["shape"])) * len(self._steps.get(name, [0]))
        return max(1, frames)

    def estimate_inmemory_data_size(self) -> int | None:
        """By the sizes of the frames."""
        return self._row_bytes() * sum(segment.stop - segment.start for segment in self._segments)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of whole files or episodes, or of rows where more parts are wanted than there are of these.

        Raises:
            ValueError: more parts are wanted than there are, and windows of time need whole episodes.
        """
        segments = self._segments
        if parallelism > len(segments):
            if self._steps:
                raise ValueError(
                    f"Delta timestamps are enabled, but parallelism ({parallelism}) is greater than the number of row ranges "
                    f"({len(segments)}): windows of time need whole episodes. Ask for at most {len(segments)} blocks."
                )
            segments = _split(segments, parallelism)
        tasks = []
        parts = max(1, min(parallelism, len(segments)))
        for part in range(parts):
            chosen = segments[part * len(segments) // parts : (part + 1) * len(segments) // parts]
            rows = sum(segment.stop - segment.start for segment in chosen)
            files = dict.fromkeys(e.data_file for s in chosen for e in self._of(s))
            meta = BlockMetadata(rows, rows * self._row_bytes(), None, input_files=list(files))
            tasks.append(ReadTask(_ReadSegments(self, chosen), meta, None, per_task_row_limit))
        return tasks

    def _of(self, segment: _Segment) -> list[Episode]:
        """The episodes that a segment has rows of."""
        return [
            episode
            for episode in self._chosen[segment.dataset]
            if episode.start < segment.stop and segment.start < episode.stop
        ]


class _ReadSegments:
    def __init__(self, source: LeRobotDatasource, segments: list[_Segment]) -> None:
        self._source, self._segments = source, segments

    def __call__(self) -> Iterator[pa.Table]:
        for segment in self._segments:
            by_file = itertools.groupby(self._source._of(segment), key=lambda episode: episode.data_file)
            for path, episodes in by_file:
                table = self._rows(path, segment)
                for episode in episodes:
                    start, stop = max(episode.start, segment.start), min(episode.stop, segment.stop)
                    first, last = np.searchsorted(table.column("index").to_numpy(), [start, stop])
                    rows = table.slice(int(first), int(last - first))
                    yield from _EpisodeReader(self._source, segment.dataset, episode, rows).blocks()

    def _rows(self, path: str, segment: _Segment) -> pa.Table:
        wanted = (pds.field("index") >= segment.start) & (pds.field("index") < segment.stop)
        dataset = pds.dataset(
            [path], filesystem=self._source._filesystem, format="parquet", partitioning=None
        )
        table = dataset.to_table(filter=wanted).replace_schema_metadata(None)
        return table.sort_by("index").combine_chunks()


class _EpisodeReader:
    """The rows of an episode, or of a part of it, with their frames."""

    def __init__(self, source: LeRobotDatasource, dataset: int, episode: Episode, rows: pa.Table) -> None:
        self._source, self._dataset, self._rows = source, dataset, rows
        self._meta = source._metas[dataset]
        self._frames: dict[str, Frames] = {}
        for camera, (path, start) in episode.videos.items():
            seconds = (rows.column("timestamp").to_numpy().astype(np.float64) + start).tolist()
            self._frames[camera] = Frames(video_frames(path, source._filesystem, seconds, source._tolerance))
        for camera in self._meta.image_keys:
            cells = rows.column(camera).to_pylist()
            self._frames[camera] = Frames(image_frames(cells, self._meta.root, source._filesystem))

    def blocks(self) -> Iterator[pa.Table]:
        """The rows, in blocks."""
        step = max(1, _BLOCK_BYTES // self._source._row_bytes())
        for start in range(0, self._rows.num_rows, step):
            yield self._block(start, min(start + step, self._rows.num_rows))

    def _block(self, start: int, stop: int) -> pa.Table:
        steps = self._source._steps
        table = self._rows.slice(start, stop - start)
        columns: dict[str, Any] = {
            name: table.column(name) for name in table.column_names if name not in self._frames
        }
        for name in steps:
            if name not in self._frames:
                values = np.stack(self._rows.column(name).to_pylist())
                places, _ = self._window(start, stop, steps[name])
                columns[name] = convert.column_from_values(values[places])
        for camera, frames in self._frames.items():
            places, _ = self._window(start, stop, steps.get(camera, [0]))
            least = min(0, *steps.get(camera, [0]))
            found = [frames.get(row.tolist(), number + least) for number, row in enumerate(places, start)]
            cells = [np.stack(row) if camera in steps else row[0] for row in found]
            columns[camera] = ArrowVariableShapedTensorArray.from_numpy(cells)
        for name in steps:
            _, missing = self._window(start, stop, steps[name])
            columns[f"{name}_is_pad"] = convert.column_from_values(missing)
        tasks = [self._meta.tasks[number] for number in table.column("task_index").to_pylist()]
        count = table.num_rows
        columns["task"] = pa.array(tasks, pa.string())
        columns["dataset_index"] = pa.array([self._dataset] * count, pa.int32())
        columns["stats"] = pa.array([self._meta.stats] * count, pa.string()).dictionary_encode()
        return pa.table(columns)

    def _window(
        self, start: int, stop: int, steps: Sequence[int]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The rows at some steps from each row, and which of them are out of the episode and stand for its ends."""
        wanted = np.arange(start, stop)[:, np.newaxis] + np.asarray(steps)
        inside = np.clip(wanted, 0, self._rows.num_rows - 1)
        return inside, inside != wanted


def _check_alike(metas: list[LeRobotMeta]) -> None:
    first = metas[0]
    for other in metas[1:]:
        for what, ours, theirs in (
            ("video_keys", first.video_keys, other.video_keys),
            ("image_keys", first.image_keys, other.image_keys),
            ("fps", first.fps, other.fps),
            ("Feature", sorted(first.features), sorted(other.features)),
        ):
            if ours != theirs:
                raise ValueError(
                    f"{what} mismatch: {first.root!r} has {ours} but {other.root!r} has {theirs}: read them one by one."
                )


def _chosen_episodes(metas: list[LeRobotMeta], wanted: list[int] | None) -> list[list[Episode]]:
    if wanted is None:
        return [list(meta.episodes) for meta in metas]
    if not wanted:
        raise ValueError(
            "episodes must be a non-empty list of episode_index values, or None to read every episode."
        )
    known = {episode.index for meta in metas for episode in meta.episodes}
    missing = sorted(set(wanted) - known)
    if missing:
        raise ValueError(
            f"episodes {missing} were not found in any dataset root (requested {sorted(wanted)})."
        )
    return [[episode for episode in meta.episodes if episode.index in wanted] for meta in metas]


def _steps(meta: LeRobotMeta, deltas: dict[str, list[float]], tolerance: float) -> dict[str, list[int]]:
    """Times before and after a frame, as numbers of frames."""
    unknown = sorted(set(deltas) - set(meta.features))
    if unknown:
        raise ValueError(
            f"{meta.root!r}: delta_timestamps keys {unknown} are not dataset features: {sorted(meta.features)}."
        )
    for name, seconds in deltas.items():
        off = [
            time for time in seconds if abs(time * meta.fps - round(time * meta.fps)) / meta.fps > tolerance
        ]
        if off or not seconds:
            raise ValueError(
                f"delta_timestamps[{name!r}]={seconds}: each must be a multiple of 1 / {meta.fps} s within "
                f"{tolerance} s, and there must be one."
            )
    return {name: [round(time * meta.fps) for time in seconds] for name, seconds in deltas.items()}


def _segments(chosen: list[list[Episode]], granularity: str) -> Iterator[_Segment]:
    """Successive episodes that share their files, or each for itself."""
    for dataset, episodes in enumerate(chosen):

        def files(episode: Episode) -> Any:
            if granularity == "episode":
                return episode.index
            return sorted(path for path, _ in episode.videos.values()) or episode.data_file

        for _, group in itertools.groupby(episodes, key=files):
            # Where an episode was left out, what is before it is a segment of its own.
            members = list(group)
            start = members[0].start
            for one, following in itertools.pairwise(members):
                if following.start != one.stop:
                    yield _Segment(dataset, start, one.stop)
                    start = following.start
            yield _Segment(dataset, start, members[-1].stop)


def _split(segments: list[_Segment], parts: int) -> list[_Segment]:
    """About so many segments: each is cut into pieces in proportion to its rows."""
    total = sum(segment.stop - segment.start for segment in segments)
    out = []
    for segment in segments:
        rows = segment.stop - segment.start
        pieces = max(1, min(rows, round(parts * rows / max(1, total))))
        edges = [segment.start + rows * i // pieces for i in range(pieces + 1)]
        out += [_Segment(segment.dataset, start, stop) for start, stop in itertools.pairwise(edges)]
    return out


__all__ = ["LeRobotDatasource"]
