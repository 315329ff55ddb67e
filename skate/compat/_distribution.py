"""The distribution `ray`, as `importlib.metadata` shows it: libraries look there for its version."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING

from skate._version import RAY_VERSION

if TYPE_CHECKING:
    import os


class RayDistribution(Distribution):
    """Name and version; it has no files of its own."""

    def read_text(self, filename: str) -> str | None:
        """The text of METADATA; there is no other file."""
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: ray\nVersion: {RAY_VERSION}\nSummary: Skate, under the name of Ray\n"

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        """Where a file of the distribution would be."""
        return Path(__file__).parent.parent / path
