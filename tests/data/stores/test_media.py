from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from mcap.writer import Writer

import skate.data
from skate.data.datasource import TimeRange


def test_sound_comes_in(tmp_path: Path) -> None:
    waves = np.stack([np.linspace(-0.5, 0.5, 80), np.zeros(80)], axis=1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waves, 8000, subtype="FLOAT")
    (row,) = skate.data.read_audio(str(tmp_path)).take_all()
    assert row["sample_rate"] == 8000 and row["amplitude"].shape == (2, 80)
    np.testing.assert_allclose(row["amplitude"], waves.T)
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"b\.wav is no audio file"):
        skate.data.read_audio(str(tmp_path / "b.wav")).take_all()


@pytest.fixture
def film(tmp_path: Path) -> str:
    path = str(tmp_path / "film.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for index in range(20):
            pixels = np.full((16, 32, 3), index * 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_frames_come_in(film: str, tmp_path: Path) -> None:
    rows = skate.data.read_videos(film, include_timestamps=True).take_all()
    assert [row["frame_index"] for row in rows] == list(range(20))
    assert rows[0]["frame"].shape == (16, 32, 3) and rows[0]["frame"].dtype == np.uint8
    assert abs(int(rows[19]["frame"].mean()) - 190) < 10
    np.testing.assert_allclose(rows[10]["frame_timestamp"], [1.0, 1.1], atol=1e-6)
    some = skate.data.read_videos(film, fps=2, resize=(8, 8), include_paths=True).take_all()
    assert [row["frame_index"] for row in some] == [0, 5, 10, 15]
    assert some[0]["frame"].shape == (8, 8, 3) and some[0]["path"] == film
    with pytest.raises(ValueError, match="`fps` must be positive"):
        skate.data.read_videos(film, fps=0)
    (tmp_path / "x.mp4").write_text("no film")
    with pytest.raises(ValueError, match=r"x\.mp4 is no video file"):
        skate.data.read_videos(str(tmp_path / "x.mp4")).take_all()


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "r.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("Pose", "jsonschema", b'{"type": "object"}')
        pose = writer.register_channel("/pose", "json", schema)
        raw = writer.register_channel("/raw", "ros1", 0)
        for i in range(4):
            writer.add_message(pose, i * 10, json.dumps({"x": i}).encode(), i * 10 + 1, i)
            writer.add_message(raw, i * 10, bytes([i]), i * 10 + 1, i)
        writer.finish()  # type: ignore[no-untyped-call]
    return str(path)


def test_messages_of_a_recording_come_in(recording: str, tmp_path: Path) -> None:
    poses = skate.data.read_mcap(recording, topics={"/pose"}).take_all()
    assert [row["data"] for row in poses] == [{"x": i} for i in range(4)]
    first = {name: value for name, value in poses[1].items() if name not in ("data", "channel_id")}
    assert first == {
        "topic": "/pose",
        "log_time": 10,
        "publish_time": 11,
        "sequence": 1,
        "message_encoding": "json",
        "schema_name": "Pose",
        "schema_encoding": "jsonschema",
        "schema_data": b'{"type": "object"}',
    }
    assert skate.data.read_mcap(recording, message_types=["Pose"]).count() == 4
    raw = skate.data.read_mcap(recording, topics=["/raw"], time_range=(10, 30), include_metadata=False)
    assert [row["data"] for row in raw.take_all()] == [b"\x01", b"\x02"]
    assert raw.columns() == ["data", "topic", "log_time", "publish_time", "sequence"]
    ranged = skate.data.read_mcap(recording, time_range=TimeRange(start_time=0, end_time=10))
    assert ranged.count() == 2
    with pytest.raises(ValueError, match=r"start_time \(5\) must be less than end_time \(5\)"):
        skate.data.read_mcap(recording, time_range=(5, 5))
    (tmp_path / "x.mcap").write_bytes(b"no recording")
    with pytest.raises(ValueError, match=r"x\.mcap is no MCAP file"):
        skate.data.read_mcap(str(tmp_path / "x.mcap")).take_all()
