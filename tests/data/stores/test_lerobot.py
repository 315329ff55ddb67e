"""LeRobot datasets that are written here as the format's description says: videos, images in rows, tables about them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import skate.data

LENGTHS = [6, 4, 5]
FPS = 10


def colour(frame: int) -> int:
    """How bright the frame of a row is; far enough from the next for what encoding does to it."""
    return frame * 16


def write_video(path: Path, frames: range) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.gop_size = 3
        for frame in frames:
            pixels = np.full((16, 32, 3), colour(frame), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def png(frame: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), colour(frame), np.uint8)).save(buffer, "png")
    return {"bytes": buffer.getvalue(), "path": None}


def write_dataset(root: Path, with_video: bool = True) -> str:
    """Three episodes: the first two share their files, the third has its own."""
    camera = "observation.image"
    features: dict[str, Any] = {
        "action": {"dtype": "float32", "shape": [2]},
        camera: {
            "dtype": "video" if with_video else "image",
            "shape": [16, 32, 3] if with_video else [4, 4, 3],
        },
        "timestamp": {"dtype": "float32", "shape": [1]},
    }
    (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    info: dict[str, Any] = {"codebase_version": "v3.0", "fps": FPS, "features": features}
    if with_video:
        info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    (root / "meta" / "info.json").write_text(json.dumps(info))
    (root / "meta" / "stats.json").write_text('{"action": {"mean": [1.0, 2.0]}}')
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": ["pick", "place"]})
    pq.write_table(tasks, root / "meta" / "tasks.parquet")
    starts = np.cumsum([0, *LENGTHS])
    files = [0, 0, 1]
    rows = []
    for episode, length in enumerate(LENGTHS):
        row = {
            "episode_index": episode,
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": files[episode],
            "dataset_from_index": int(starts[episode]),
            "dataset_to_index": int(starts[episode + 1]),
            "stats/action/mean": [0.0, 0.0],
        }
        if with_video:
            first = starts[files.index(files[episode])]
            row[f"videos/{camera}/chunk_index"] = 0
            row[f"videos/{camera}/file_index"] = files[episode]
            row[f"videos/{camera}/from_timestamp"] = float(starts[episode] - first) / FPS
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    for file, frames in enumerate([range(10), range(10, 15)]):
        of = [next(e for e in range(3) if frame < starts[e + 1]) for frame in frames]
        columns: dict[str, Any] = {
            "action": pa.array([[frame, -frame] for frame in frames], pa.list_(pa.float32(), 2)),
            "timestamp": pa.array(
                [(f - starts[e]) / FPS for f, e in zip(frames, of, strict=True)], pa.float32()
            ),
            "frame_index": [int(f - starts[e]) for f, e in zip(frames, of, strict=True)],
            "episode_index": of,
            "index": list(frames),
            "task_index": [e % 2 for e in of],
        }
        if with_video:
            write_video(root / f"videos/{camera}/chunk-000/file-{file:03d}.mp4", frames)
        else:
            columns[camera] = [png(frame) for frame in frames]
        path = root / f"data/chunk-000/file-{file:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return str(root)


@pytest.fixture
def robot(tmp_path: Path) -> str:
    return write_dataset(tmp_path / "robot")


def brightness(picture: np.ndarray[Any, Any]) -> int:
    return round(float(picture.mean()) / 16)


def test_rows_come_with_their_pictures(robot: str) -> None:
    dataset = skate.data.read_lerobot(robot)
    assert dataset.materialize().num_blocks() >= 2
    rows = dataset.take_all()
    assert [row["index"] for row in rows] == list(range(15))
    assert [brightness(row["observation.image"]) for row in rows] == list(range(15))
    assert (
        rows[7]["observation.image"].shape == (16, 32, 3) and rows[7]["observation.image"].dtype == np.uint8
    )
    assert [row["task"] for row in rows] == ["pick"] * 6 + ["place"] * 4 + ["pick"] * 5
    assert list(rows[3]["action"]) == [3.0, -3.0] and rows[3]["dataset_index"] == 0
    assert json.loads(rows[0]["stats"]) == {"action": {"mean": [1.0, 2.0]}}


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_episodes_and_parts_may_be_chosen(robot: str, blocks: int) -> None:
    some = skate.data.read_lerobot(robot, episodes=[0, 2], override_num_blocks=blocks).take_all()
    assert [row["index"] for row in some] == [*range(6), *range(10, 15)]
    assert [brightness(row["observation.image"]) for row in some] == [*range(6), *range(10, 15)]


def test_one_task_reads_a_file_or_an_episode(robot: str) -> None:
    from skate.data.datasource import LeRobotDatasource

    assert LeRobotDatasource(robot).default_num_blocks() == 2
    by_episode = LeRobotDatasource(robot, read_granularity="episode")
    assert by_episode.default_num_blocks() == 3 and by_episode.meta.total_frames == 15
    assert [task.metadata.num_rows for task in by_episode.get_read_tasks(3)] == LENGTHS


def test_a_row_may_hold_a_window_of_time(robot: str) -> None:
    windows = {"observation.image": [-0.2, 0.0, 0.1], "action": [0.0, 0.1]}
    rows = skate.data.read_lerobot(robot, delta_timestamps=windows).take_all()
    first, middle, last = rows[6], rows[8], rows[9]  # the second episode has the rows 6 to 9
    assert [brightness(picture) for picture in first["observation.image"]] == [6, 6, 7]
    assert first["observation.image_is_pad"].tolist() == [True, False, False]
    assert [brightness(picture) for picture in middle["observation.image"]] == [6, 8, 9]
    assert middle["observation.image"].shape == (3, 16, 32, 3)
    assert last["action"].tolist() == [[9.0, -9.0], [9.0, -9.0]] and last["action_is_pad"].tolist() == [
        False,
        True,
    ]
    with pytest.raises(ValueError, match=r"greater than the number of row ranges \(2\)"):
        skate.data.read_lerobot(robot, delta_timestamps=windows, override_num_blocks=9).take_all()


def test_pictures_may_be_in_the_rows_and_datasets_one_after_the_other(tmp_path: Path) -> None:
    roots = [write_dataset(tmp_path / name, with_video=False) for name in "ab"]
    rows = skate.data.read_lerobot(roots).take_all()
    assert [row["dataset_index"] for row in rows] == [0] * 15 + [1] * 15
    assert [brightness(row["observation.image"]) for row in rows] == [*range(15), *range(15)]
    with pytest.raises(ValueError, match="video_keys mismatch"):
        skate.data.read_lerobot([roots[0], write_dataset(tmp_path / "c")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": []}, "episodes must be a non-empty list"),
        ({"episodes": [0, 9]}, r"episodes \[9\] were not found"),
        ({"read_granularity": "row"}, "read_granularity must be one of"),
        ({"frame_tolerance_s": 0}, "frame_tolerance_s must be a positive"),
        ({"delta_timestamps": {"none": [0.0]}}, r"keys \['none'\] are not dataset features"),
        ({"delta_timestamps": {"action": [0.05]}}, "must be a multiple of 1 / 10"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(robot: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        skate.data.read_lerobot(robot, **options)


def test_what_is_not_there_or_does_not_fit_is_told(robot: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="meta/info.json is missing"):
        skate.data.read_lerobot(str(tmp_path))
    video = Path(robot) / "videos/observation.image/chunk-000/file-001.mp4"
    write_video(video, range(10, 12))
    with pytest.raises(ValueError, match="no frame within 0.05 s"):
        skate.data.read_lerobot(robot, episodes=[2]).take_all()
    info = Path(robot) / "meta" / "info.json"
    info.write_text(info.read_text().replace("v3.0", "v2.1"))
    with pytest.raises(ValueError, match=r"has the version v2\.1"):
        skate.data.read_lerobot(robot)
