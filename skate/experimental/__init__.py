"""Names of `ray.experimental`: progress bars of tasks, key-value pairs, compiled graphs, where objects lie; older paths of `skate.util`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate._lazy import submodule as _submodule

if TYPE_CHECKING:
    from skate.experimental.locations import get_local_object_locations, get_object_locations

__all__ = ["get_local_object_locations", "get_object_locations"]


if not TYPE_CHECKING:

    def __getattr__(name):
        """A submodule, or a function of one, imported when it is first asked for."""
        if name in __all__:
            from skate.experimental import locations

            return getattr(locations, name)
        return _submodule(__name__, name)
