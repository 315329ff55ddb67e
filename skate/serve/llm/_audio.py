"""Recordings that clients send: out of the form, and into samples."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import io
import wave
from typing import Any

from skate.serve.llm._engine import InvalidRequest

__all__ = ["read_form", "read_samples"]


def read_form(content_type: str, body: bytes) -> dict[str, list[bytes]]:
    """The fields of a form that was sent as `multipart/form-data`; each may have been given several times.

    Raises:
        InvalidRequest: it is none.
    """
    head = email.message.Message()
    head["content-type"] = content_type
    boundary = head.get_param("boundary")
    if head.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise InvalidRequest(
            f"The request must be a form, multipart/form-data with a boundary, and was sent as {content_type!r}."
        )
    fields: dict[str, list[bytes]] = {}
    _before, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if not parts or not parts[-1].startswith(b"--"):
        raise InvalidRequest("The form does not end with its boundary: it is not complete.")
    for part in parts[:-1]:
        headers, blank, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = email.parser.BytesHeaderParser(policy=email.policy.HTTP).parsebytes(headers)
        name = said["content-disposition"].params.get("name") if said["content-disposition"] else None
        if not blank or name is None:
            raise InvalidRequest("A part of the form has no name: a header content-disposition is needed.")
        fields.setdefault(name, []).append(value)
    return fields


def read_samples(recording: bytes, rate: int) -> Any:
    """A recording as an array of samples between -1 and 1, in mono.

    WAV needs nothing else; other formats (FLAC, OGG, MP3) need the package `soundfile`.

    Args:
        recording: The bytes of a file.
        rate: Samples a second to return.

    Raises:
        InvalidRequest: it is no recording that can be read.
    """
    import numpy as np

    samples, given = _wav(recording) if recording[:4] == b"RIFF" else _other(recording)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if not len(samples):
        raise InvalidRequest("The recording is empty.")
    if given != rate:
        count = max(1, round(len(samples) * rate / given))
        samples = np.interp(np.linspace(0, len(samples) - 1, count), np.arange(len(samples)), samples)
    return samples.astype("float32")


def _wav(recording: bytes) -> tuple[Any, int]:
    import numpy as np

    try:
        with wave.open(io.BytesIO(recording)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError):
        return _other(recording)  # WAV of floating-point numbers, for one
    if rate <= 0:
        raise InvalidRequest("The recording can't be read: it has no sampling rate.")
    raw = raw[: len(raw) - len(raw) % (width * channels)]  # one that was cut off ends anywhere
    if width == 1:
        samples = (np.frombuffer(raw, "u1").astype("float64") - 128) / 128
    elif width == 3:
        whole = np.frombuffer(raw, "u1").reshape(-1, 3).astype("int32")
        samples = ((whole[:, 0] << 8 | whole[:, 1] << 16 | whole[:, 2] << 24) / float(1 << 31)).astype(
            "float64"
        )
    else:
        samples = np.frombuffer(raw, f"<i{width}").astype("float64") / float(1 << 8 * width - 1)
    return samples.reshape(-1, channels), rate


def _other(recording: bytes) -> tuple[Any, int]:
    try:
        import soundfile
    except ImportError as error:
        raise InvalidRequest(
            "The recording is no WAV file of whole numbers, and the server has no package that reads others: pip install soundfile."
        ) from error
    try:
        samples, rate = soundfile.read(io.BytesIO(recording), dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        raise InvalidRequest("The recording can't be read: it is in no format that is known here.") from error
    return samples, int(rate)
