"""JSON with whatever JSON can't express pickled."""

from __future__ import annotations

import json
from typing import Any

import cloudpickle

__all__ = [
    "TuneFunctionDecoder",
    "TuneFunctionEncoder",
]

_KIND = "CLOUDPICKLE_FALLBACK"


class TuneFunctionEncoder(json.JSONEncoder):
    """Writes what JSON can't express as a pickle in hexadecimal digits."""

    def default(self, o: Any) -> Any:
        """What to write in place of `o`."""
        return {"_type": _KIND, "value": cloudpickle.dumps(o).hex()}


class TuneFunctionDecoder(json.JSONDecoder):
    """Reads what `TuneFunctionEncoder` wrote. Only read what you trust: pickles run code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, object_hook=self._restore, **kwargs)

    def _restore(self, found: dict[str, Any]) -> Any:
        if found.get("_type") == _KIND:
            return cloudpickle.loads(bytes.fromhex(found["value"]))
        return found
