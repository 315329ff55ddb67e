"""Putting Skate behind the name `ray`, and taking it away."""

from __future__ import annotations

import sys

from skate._version import RAY_VERSION
from skate.compat._finder import RayFinder
from skate.core import runtime

_WORKER_SETUP = ("skate.compat._install:stand_in", ())


def install() -> None:
    """Make `import ray`, and every `import ray.x.y`, give Skate's modules, here and in the workers of sessions started later.

    A second call does nothing. A Ray that is installed too is hidden, for as long as this lasts.

    Raises:
        RuntimeError: Ray itself has been imported already, or a session runs whose workers would not know.

    Example:
        >>> import skate.compat
        >>> skate.compat.install()
        >>> import ray, skate
        >>> ray.get is skate.get, ray.__version__
        (True, '2.60.0')
        >>> skate.compat.uninstall()
    """
    if not installed() and runtime.engine is not None and runtime.engine.name != "inline":
        raise RuntimeError(
            "A session runs already, and its workers have no module ray: call skate.compat.install() before skate.init()."
        )
    stand_in()


def stand_in() -> None:
    """Do it in this process: a worker of a standing session is part of that before it gets to know what a program needs."""
    if installed():
        return
    if "ray" in sys.modules:
        where = getattr(sys.modules["ray"], "__file__", None)
        raise RuntimeError(
            f"Ray itself has been imported already ({where}): call skate.compat.install() before anything imports ray."
        )
    sys.meta_path.insert(0, RayFinder())
    runtime.worker_setup.append(_WORKER_SETUP)


def uninstall() -> None:
    """Take the name `ray` away again, here and for sessions started later. Without `install`, nothing happens."""
    if not installed():
        return
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, RayFinder)]
    runtime.worker_setup.remove(_WORKER_SETUP)
    for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
        del sys.modules[name]


def installed() -> bool:
    """Whether `ray` is Skate in this process."""
    return any(isinstance(finder, RayFinder) for finder in sys.meta_path)


__all__ = ["RAY_VERSION", "install", "installed", "uninstall"]
