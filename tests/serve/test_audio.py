"""Recordings that clients send: forms and samples."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import httpx
import numpy as np
import pytest

from skate.serve.llm._audio import read_form, read_samples
from skate.serve.llm._engine import InvalidRequest


def _wav(frames: bytes, width: int = 2, channels: int = 1, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(width)
        made.setframerate(rate)
        made.writeframes(frames)
    return file.getvalue()


def test_a_form_of_a_real_client() -> None:
    odd = b"\r\n--not the boundary\x00\xff\r\n\r\n"
    request = httpx.Request(
        "POST", "http://x/", data={"model": "größe", "many": ["1", "2"]}, files={"file": ("a.wav", odd)}
    )
    found = read_form(request.headers["content-type"], request.read())
    assert found == {"model": ["größe".encode()], "many": [b"1", b"2"], "file": [odd]}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", b"{}", "must be a form"),
        ("multipart/form-data", b"", "must be a form"),
        ("multipart/form-data; boundary=b", b"--b\r\nhalf", "not complete"),
        ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\nv\r\n--b--", "has no name"),
    ],
)
def test_what_is_no_form(kind: str, body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_form(kind, body)


@pytest.mark.parametrize(
    ("width", "frames"),
    [
        (1, bytes([128, 192, 64])),
        (2, struct.pack("<3h", 0, 16384, -16384)),
        (3, b"\x00\x00\x00\x00\x00\x40\x00\x00\xc0"),
        (4, struct.pack("<3i", 0, 1 << 30, -(1 << 30))),
    ],
)
def test_whole_numbers_of_any_width(width: int, frames: bytes) -> None:
    assert read_samples(_wav(frames, width), 8000).tolist() == [0, 0.5, -0.5]


def test_channels_are_mixed_and_the_rate_is_changed() -> None:
    frames = struct.pack("<8h", *[0, 16384] * 4)
    samples = read_samples(_wav(frames, channels=2), 16000)
    assert samples.dtype == np.float32
    assert samples.tolist() == [0.25] * 8


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_a_recording_that_was_cut_off_is_read_as_far_as_it_goes(lost: int) -> None:
    frames = struct.pack("<6h", *[0, 16384] * 3)
    assert read_samples(_wav(frames, channels=2)[:-lost], 8000).tolist() == [0.25] * 2


def test_a_recording_without_a_rate_is_refused() -> None:
    made = bytearray(_wav(b"\0\0"))
    struct.pack_into("<I", made, 24, 0)  # where its header says how many samples a second there are
    with pytest.raises(InvalidRequest, match="no sampling rate"):
        read_samples(bytes(made), 8000)


def test_other_formats_need_a_package(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.flac", np.full(100, 0.5), 8000)
    assert np.allclose(read_samples((tmp_path / "a.flac").read_bytes(), 8000), 0.5, atol=1e-3)


@pytest.mark.parametrize("recording", [b"RIFF", b"nothing", _wav(b"")])
def test_what_is_no_recording(recording: bytes) -> None:
    pytest.importorskip("soundfile")
    with pytest.raises(InvalidRequest, match=r"can't be read|is empty"):
        read_samples(recording, 8000)
