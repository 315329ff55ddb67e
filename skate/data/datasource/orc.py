"""ORC files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import orc

from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.block import BlockAccessor


class ORCDatasource(FileBasedDatasource):
    """ORC files."""

    factor = 3.0

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        yield orc.ORCFile(pa.BufferReader(f.read())).read()


class ORCDatasink(BlockBasedFileDatasink):
    """Writes ORC files."""

    def __init__(
        self,
        path: str,
        *,
        arrow_orc_args_fn: Callable[[], dict[str, Any]] | None = None,
        arrow_orc_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="orc", **options)
        self._args_fn, self._args = arrow_orc_args_fn, dict(arrow_orc_args or {})

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block."""
        args = {**self._args, **(self._args_fn() if self._args_fn else {})}
        orc.write_table(block.to_arrow(), file, **args)


__all__ = ["ORCDatasink", "ORCDatasource"]
