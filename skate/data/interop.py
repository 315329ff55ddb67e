"""Packages that some functions need and most users do not."""

from __future__ import annotations

import importlib
from typing import Any


def require_module(module: str, package: str | None = None) -> Any:
    """A module, imported.

    Args:
        module: Its name.
        package: What to install for it; default: the same name.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        needed = package or module.partition(".")[0]
        raise ImportError(
            f'This needs the module {module}, which could not be imported ({error}): pip install "{needed}"'
        ) from error


__all__ = ["require_module"]
