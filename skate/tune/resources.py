"""Resources of a trial, as older programs say them."""

from __future__ import annotations

import json
from typing import Any

from skate.tune.execution import placement_groups as _groups


def json_to_resources(data: str | dict[str, Any] | None) -> _groups.PlacementGroupFactory | None:
    """Bundles from a dictionary or its JSON.

    Args:
        data: Resources by name.

    Returns:
        One bundle; None for None.
    """
    if data is None or data == "null":
        return None
    return _groups.resource_dict_to_pg_factory(json.loads(data) if isinstance(data, str) else data)


__all__ = ["json_to_resources"]
