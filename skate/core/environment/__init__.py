"""The runtime environment of a task, an actor or a program.

checks.py    what each field may hold
fields.py    what can be asked for here, and how a task's environment builds on the program's
packages.py  directories and archives, kept in a cache by their content
cache.py     where what was made is kept, how large it may grow, and who uses what
build.py     a process that makes what needs installing: virtual environments for pip and uv
enter.py     a worker puts itself into an environment
"""

from __future__ import annotations

from skate.core.environment.fields import check_runtime_env, merge_env, settle

__all__ = ["check_runtime_env", "merge_env", "settle"]
