"""What lists files. It is found when a dataset is made, and programs may bring their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource import files as fs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skate.data.datasource.partitioning import Partitioning


class FileMetadataProvider:
    """Accepted for Ray's programs: what is known of files is found when they are listed."""


class BaseFileMetadataProvider(FileMetadataProvider):
    """Lists files with their sizes."""

    def expand_paths(
        self,
        paths: list[str],
        filesystem: Any,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
    ) -> Iterator[tuple[str, int]]:
        """The files behind paths, with their sizes in bytes."""
        raise NotImplementedError


class DefaultFileMetadataProvider(BaseFileMetadataProvider):
    """Lists files by asking their file system."""

    def expand_paths(
        self,
        paths: list[str],
        filesystem: Any,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
    ) -> Iterator[tuple[str, int]]:
        """The files behind paths, with their sizes in bytes."""
        yield from fs.expand(paths, filesystem, None, ignore_missing_paths)


__all__ = ["BaseFileMetadataProvider", "DefaultFileMetadataProvider", "FileMetadataProvider"]
