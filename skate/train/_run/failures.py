"""How what a training function raises reaches the controller."""

from __future__ import annotations

import traceback

import cloudpickle

__all__ = [
    "failed",
]


def failed(error: BaseException) -> tuple[str, bytes, str]:
    """The message that tells of an error."""
    return "failed", _pickled(error), _text(error)


def _text(error: BaseException) -> str:
    """The traceback from the user's own code on."""
    entries = error.__traceback__
    while (
        entries is not None
        and entries.tb_next is not None
        and entries.tb_frame.f_globals.get("__name__", "").startswith("skate.train._run")
    ):
        entries = entries.tb_next
    return "".join(traceback.format_exception(type(error), error, entries)).rstrip()


def _pickled(error: BaseException) -> bytes:
    """The error, or one that says the same if it cannot be pickled."""
    try:
        data = cloudpickle.dumps(error)
        cloudpickle.loads(data)
    except Exception:  # whatever its own code raises
        data = cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return bytes(data)
