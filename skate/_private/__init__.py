"""Names of `ray._private` that published libraries import all the same: a few, each for what it truly does.

docs/compatibility.md lists them, with who needs them. They are for programs written for Ray; Skate itself uses none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate._lazy import submodule as _submodule

__all__: list[str] = []


if not TYPE_CHECKING:

    def __getattr__(name):
        """A submodule, imported when it is first asked for."""
        return _submodule(__name__, name)
