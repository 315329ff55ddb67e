"""Names of `ray.experimental`: some are the older paths of what is in `skate.util`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate._lazy import submodule as _submodule

__all__: list[str] = []


if not TYPE_CHECKING:

    def __getattr__(name):
        """A submodule, imported when it is first asked for."""
        return _submodule(__name__, name)


"""Names of `ray.experimental`: progress bars of tasks, the session's key-value pairs, results of compiled graphs."""

from __future__ import annotations

__all__: list[str] = []
