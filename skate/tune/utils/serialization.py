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

    def default(self, obj: Any) -> Any:
        """What to write in place of an object."""
        return {"_type": _KIND, "value": cloudpickle.dumps(obj).hex()}


class TuneFunctionDecoder(json.JSONDecoder):
    """Reads what `TuneFunctionEncoder` wrote. Only read what you trust: pickles run code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, object_hook=self.object_hook, **kwargs)

    def object_hook(self, obj: dict[str, Any]) -> Any:
        """What a JSON object stands for."""
        if obj.get("_type") == _KIND:
            return cloudpickle.loads(bytes.fromhex(obj["value"]))
        return obj
