"""Names of `ray._common` that programs import all the same; docs/compatibility.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate._lazy import submodule as _submodule

__all__: list[str] = []


if not TYPE_CHECKING:

    def __getattr__(name):
        """A submodule, imported when it is first asked for."""
        return _submodule(__name__, name)
