"""Paths and file systems, under the names that programs written for Ray import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource import files as fs

if TYPE_CHECKING:
    import pyarrow.fs as pafs


def _resolve_paths_and_filesystem(paths: Any, filesystem: Any = None) -> tuple[list[str], pafs.FileSystem]:
    """Paths as the file system writes them, and the file system.

    Args:
        paths: A path or several: local, or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.

    Raises:
        ValueError: there are none, or they are no paths.
    """
    return fs.resolve_paths(paths, filesystem)


def _has_file_extension(path: str, extensions: list[str] | None) -> bool:
    """Whether a path has one of these endings, which are given without a dot; None holds for all."""
    if extensions is None:
        return True
    return path.lower().endswith(tuple(f".{ending.lower().lstrip('.')}" for ending in extensions))


def _unwrap_protocol(path: str) -> str:
    """An address without its scheme."""
    return path.partition("://")[2] if "://" in path else path


def _is_http_url(path: str) -> bool:
    """Whether it is an address of HTTP."""
    return path.partition("://")[0] in ("http", "https")


__all__: list[str] = []
