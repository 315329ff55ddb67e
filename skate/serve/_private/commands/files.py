"""Which Python files of a folder have changed."""

from __future__ import annotations

import os

_PASSED_OVER = frozenset({"__pycache__", "node_modules"})


class Files:
    """The Python files of a folder, as they were when this was last asked."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._seen = self._look()

    def _look(self) -> dict[str, tuple[int, int]]:
        found = {}
        for folder, folders, names in os.walk(self._folder):
            folders[:] = [f for f in folders if f not in _PASSED_OVER and not f.startswith(".")]
            for name in names:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    try:
                        facts = os.stat(path)
                    except FileNotFoundError:
                        continue  # an editor has just replaced it
                    found[path] = (facts.st_mtime_ns, facts.st_size)
        return found

    def changed(self) -> set[str]:
        """The files that have changed, come or gone since the last question."""
        now, before = self._look(), self._seen
        self._seen = now
        return {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}
