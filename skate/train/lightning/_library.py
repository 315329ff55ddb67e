"""Lightning itself, under whichever of its two names it is installed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

__all__ = [
    "INSTALLED",
    "base",
    "need",
]

_NAME = next(
    (
        name
        for package, name in (("lightning", "lightning.pytorch"), ("pytorch_lightning", "pytorch_lightning"))
        if importlib.util.find_spec(package) is not None
    ),
    None,
)
INSTALLED = _NAME is not None


def base(module: str, name: str) -> Any:
    """A class of Lightning's to build on; `object` where it is not installed, so that the names are there all the same.

    Args:
        module: Its module below Lightning's package.
        name: Its name.
    """
    if _NAME is None:
        return object
    return getattr(importlib.import_module(f"{_NAME}.{module}"), name)


def need(what: str) -> None:
    """Raise if Lightning is not installed.

    Args:
        what: What needs it.

    Raises:
        ImportError: it is not.
    """
    if _NAME is None:
        raise ImportError(f"{what} needs PyTorch Lightning: pip install lightning")
