"""Submodules that are imported when they are first asked for, so that `import skate` stays cheap."""

from __future__ import annotations

import sys
from types import ModuleType


def submodule(package: str, name: str) -> ModuleType:
    """The submodule of a package, imported: what the package's `__getattr__` returns.

    Raises:
        AttributeError: there is none of that name.
    """
    import importlib

    full = f"{package}.{name}"
    if not name.startswith("__"):
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise  # it is there, and lacks something itself
    raise AttributeError(
        f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules.get(package)
    )
