"""What a LeRobot dataset of version 3 says of itself: its features, its episodes, and the files that hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as pds

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"


@dataclass(frozen=True)
class Episode:
    """A run of a robot.

    Attributes:
        index: Its number.
        start: Its first frame, in the numbering of the whole dataset.
        stop: The frame after its last.
        data_file: The Parquet file of its rows.
        videos: For each camera its video file, and the second of it at which the episode begins.
    """

    index: int
    start: int
    stop: int
    data_file: str
    videos: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class LeRobotMeta:
    """A LeRobot dataset.

    Attributes:
        root: Its folder.
        fps: Frames a second.
        features: Type and shape of each column.
        tasks: What the robot was told to do, by number.
        stats: Least, greatest, mean and so on of the columns, as JSON.
        episodes: The episodes, in order.
    """

    root: str
    fps: float
    features: dict[str, dict[str, Any]]
    tasks: dict[int, str]
    stats: str
    episodes: list[Episode]

    @property
    def video_keys(self) -> list[str]:
        """The cameras whose frames are in video files."""
        return [name for name, feature in self.features.items() if feature["dtype"] == "video"]

    @property
    def image_keys(self) -> list[str]:
        """The cameras whose frames are images in the rows."""
        return [name for name, feature in self.features.items() if feature["dtype"] == "image"]

    @property
    def total_episodes(self) -> int:
        """How many episodes there are."""
        return len(self.episodes)

    @property
    def total_frames(self) -> int:
        """How many frames all episodes have."""
        return sum(episode.stop - episode.start for episode in self.episodes)


def read_meta(root: str, filesystem: pafs.FileSystem) -> LeRobotMeta:
    """What a dataset says of itself.

    Raises:
        FileNotFoundError: there is no such dataset.
        ValueError: it is of another version.
    """
    info = _json(filesystem, f"{root}/meta/info.json")
    if info is None:
        raise FileNotFoundError(
            f"No LeRobot dataset found at {root!r}: meta/info.json is missing. Give the dataset's own folder."
        )
    version = str(info.get("codebase_version", ""))
    if not version.startswith("v3"):
        raise ValueError(
            f"The LeRobot dataset at {root!r} has the version {version or 'none'}, and version 3 can be read: convert it "
            "with the scripts of the lerobot package."
        )
    stats = _json(filesystem, f"{root}/meta/stats.json") or {}
    return LeRobotMeta(
        root,
        float(info["fps"]),
        info["features"],
        _tasks(root, filesystem),
        json.dumps(stats),
        _episodes(root, filesystem, info),
    )


def _json(filesystem: pafs.FileSystem, path: str) -> dict[str, Any] | None:
    try:
        with filesystem.open_input_stream(path) as stream:
            found: dict[str, Any] = json.loads(stream.read())
            return found
    except FileNotFoundError:
        return None


def _tasks(root: str, filesystem: pafs.FileSystem) -> dict[int, str]:
    table = pds.dataset(f"{root}/meta/tasks.parquet", filesystem=filesystem, format="parquet").to_table()
    texts = [
        name for name in table.column_names if name != "task_index"
    ]  # pandas wrote the index, by any name
    pairs = zip(table.column("task_index").to_pylist(), table.column(texts[0]).to_pylist(), strict=True)
    return dict(pairs)


def _episodes(root: str, filesystem: pafs.FileSystem, info: dict[str, Any]) -> list[Episode]:
    found = pds.dataset(f"{root}/meta/episodes", filesystem=filesystem, format="parquet", partitioning=None)
    columns = [name for name in found.schema.names if not name.startswith("stats/")]
    cameras = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    data_path, video_path = info.get("data_path") or _DATA, info.get("video_path")
    if cameras and not video_path:
        raise ValueError(
            f"{root!r}: the dataset has video keys {cameras} but meta/info.json has no 'video_path'."
        )
    episodes = []
    for row in found.to_table(columns).sort_by("episode_index").to_pylist():
        place = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
        videos = {}
        for camera in cameras:
            of = f"videos/{camera}"
            name = str(video_path).format(
                video_key=camera, chunk_index=row[f"{of}/chunk_index"], file_index=row[f"{of}/file_index"]
            )
            videos[camera] = (f"{root}/{name}", float(row[f"{of}/from_timestamp"]))
        data_file = f"{root}/{data_path.format(**place)}"
        start, stop = row["dataset_from_index"], row["dataset_to_index"]
        episodes.append(Episode(row["episode_index"], start, stop, data_file, videos))
    return episodes


__all__ = ["Episode", "LeRobotMeta", "read_meta"]
