"""From what a deployment returns to an HTTP response."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


def to_body(value: Any) -> tuple[bytes, bytes]:
    """The body of an answer that returns `value`, and its content type: bytes and strings as text, everything else as JSON.

    Raises:
        TypeError: JSON can't express the value.
    """
    if isinstance(value, str):
        return value.encode(), b"text/plain; charset=utf-8"
    if isinstance(value, bytes):
        return value, b"text/plain"
    if value is None:
        return b"", b"text/plain"
    return to_json(value), b"application/json"


def to_json(value: Any) -> bytes:
    """JSON of a value, with pydantic models, dataclasses, NumPy and pandas values in it.

    Raises:
        TypeError: JSON can't express the value.
    """
    return json.dumps(value, default=_encode, separators=(",", ":")).encode()


def _encode(value: Any) -> Any:
    module = type(value).__module__.partition(".")[0]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if module == "numpy":
        return value.tolist()
    if module == "pandas":
        return value.to_dict(orient="records") if value.ndim == 2 else value.to_list()
    if module == "torch" and hasattr(value, "tolist"):
        return value.tolist()
    from fastapi.encoders import jsonable_encoder

    try:
        return jsonable_encoder(value)
    except ValueError as error:
        raise TypeError(
            f"a {type(value).__name__} was returned to an HTTP client, and JSON can't express it: return str, bytes, a "
            "starlette Response, or what JSON knows."
        ) from error


def to_chunk(item: Any) -> bytes:
    """An item of a generator as a piece of a response's body.

    Raises:
        TypeError: JSON can't express it.
    """
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode()
    return to_json(item)
