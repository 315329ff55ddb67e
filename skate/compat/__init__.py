"""Run programs and libraries written for Ray, unedited: `ray` and every `ray.x.y` become Skate's own modules.

    install()     put Skate behind the name `ray`, in this process and in the workers of its sessions
    uninstall()   take it away again
    installed()   whether it is there
    RAY_VERSION   the version of Ray whose API is matched; `ray.__version__` reads so

On the command line, `skate run script.py` does it for a whole program. What is behind `ray.x.y` is the very module `skate.x.y`, so
classes are the same, `isinstance` holds, and pickles made under either name load under the other. What differs from Ray, and
which names are missing, stands in docs/compatibility.md.
"""

from __future__ import annotations

from skate.compat._install import RAY_VERSION, install, installed, uninstall

__all__ = ["RAY_VERSION", "install", "installed", "uninstall"]
