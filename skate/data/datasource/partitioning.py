"""Values that are part of paths: `year=2024/month=1/…` and `2024/1/…`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable


class PartitionStyle(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """How values are written into paths.

    HIVE writes `name=value`, DIRECTORY writes the values alone, in a fixed order.
    """

    HIVE = "hive"
    DIRECTORY = "dir"


@dataclass
class Partitioning:
    """How to read values from paths.

    Attributes:
        style: How they are written.
        base_dir: The folder below which they begin.
        field_names: Their names, in the order of the folders; needed for DIRECTORY.
        field_types: Their types: int, float, str or bool; text where not given.
        filesystem: The file system of `base_dir`.
    """

    style: PartitionStyle
    base_dir: str | None = None
    field_names: list[str] | None = None
    field_types: dict[str, type] | None = None
    filesystem: Any = None

    def __post_init__(self) -> None:
        self.style = PartitionStyle(self.style)
        if self.base_dir is None:
            self.base_dir = ""
        if self.field_types is None:
            self.field_types = {}

    @property
    def normalized_base_dir(self) -> str:
        """The folder, with one / at its end."""
        base = self.base_dir or ""
        return base if not base or base.endswith("/") else base + "/"

    @property
    def resolved_filesystem(self) -> Any:
        """The file system."""
        if self.filesystem is None:
            import pyarrow.fs

            return pyarrow.fs.LocalFileSystem()
        return self.filesystem

    def to_pyarrow(self) -> Any:
        """The same for Arrow datasets."""
        import pyarrow.dataset as pds

        kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
        schema = None
        if self.field_names:
            types = self.field_types or {}
            schema = pa.schema([(name, kinds[types.get(name, str)]) for name in self.field_names])
        return pds.partitioning(schema, flavor="hive" if self.style is PartitionStyle.HIVE else None)


class PathPartitionParser:
    """Reads values from paths.

    Args:
        partitioning: How they are written.

    Raises:
        ValueError: DIRECTORY without names.

    Example:
        >>> from skate.data.datasource import PathPartitionParser
        >>> PathPartitionParser.of()("data/year=2024/month=1/file.csv")
        {'year': '2024', 'month': '1'}
    """

    def __init__(self, partitioning: Partitioning) -> None:
        if partitioning.style is PartitionStyle.DIRECTORY and not partitioning.field_names:
            raise ValueError(
                "Directory partitioning requires a corresponding ordered list of partition field names: give field_names."
            )
        self._partitioning = partitioning

    @staticmethod
    def of(
        style: PartitionStyle = PartitionStyle.HIVE,
        base_dir: str | None = None,
        field_names: list[str] | None = None,
        field_types: dict[str, type] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionParser:
        """A parser of a `Partitioning` of these arguments."""
        return PathPartitionParser(Partitioning(style, base_dir, field_names, field_types, filesystem))

    @property
    def scheme(self) -> Partitioning:
        """How the values are written."""
        return self._partitioning

    def __call__(self, path: str) -> dict[str, Any]:
        """The values in a path; none if it is not below the folder.

        Raises:
            ValueError: the names or their number are others than `field_names` says.
        """
        base = self._partitioning.normalized_base_dir
        position = path.find(base) if base else 0
        if position < 0:
            return {}
        folders = path[position + len(base) :].split("/")[:-1]
        names = self._partitioning.field_names
        if self._partitioning.style is PartitionStyle.HIVE:
            pairs = [tuple(folder.split("=", 1)) for folder in folders if folder.count("=") == 1]
            if names is not None:
                found = [name for name, _ in pairs]
                if found and found != names:
                    if len(found) != len(names):
                        raise ValueError(
                            f"Expected {len(names)} partition value(s) but found {len(found)}: {found} in {path!r}."
                        )
                    wanted, got = next(pair for pair in zip(names, found, strict=True) if pair[0] != pair[1])
                    raise ValueError(
                        f"Expected partition key {wanted} but found {got}: field_names={names}, and {path!r} has {found}."
                    )
        else:
            folders = [folder for folder in folders if folder]
            if folders and len(folders) != len(names or []):
                raise ValueError(
                    f"Expected {len(names or [])} partition value(s) but found {len(folders)}: {folders} in {path!r}."
                )
            pairs = list(zip(names or [], folders, strict=False))
        return {name: self._cast(name, unquote(value)) for name, value in pairs}

    def _cast(self, name: str, value: str) -> Any:
        kind = (self._partitioning.field_types or {}).get(name, str)
        if kind is bool:
            return value.lower() in ("true", "1")
        return kind(value)

    def evaluate_predicate_on_partition(self, path: str, predicate: Any) -> bool:
        """Whether rows of a file can be among those that a predicate keeps, judged by the path alone."""
        from skate.data.plan import evaluate

        values = self(path)
        needed = evaluate.columns_of(predicate)
        if needed is None or not needed <= set(values):
            return True
        table = pa.table({name: [value] for name, value in values.items()})
        return bool(evaluate.keep(predicate, table).num_rows)


class PathPartitionFilter:
    """Chooses files by the values in their paths.

    Args:
        path_partition_parser: Reads the values.
        filter_fn: Takes them as a dict, and returns whether to read the file.
    """

    def __init__(
        self, path_partition_parser: PathPartitionParser, filter_fn: Callable[[dict[str, str]], bool]
    ) -> None:
        self._parser, self._filter_fn = path_partition_parser, filter_fn

    @staticmethod
    def of(
        filter_fn: Callable[[dict[str, str]], bool],
        style: PartitionStyle = PartitionStyle.HIVE,
        base_dir: str | None = None,
        field_names: list[str] | None = None,
        field_types: dict[str, type] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionFilter:
        """A filter with a parser of these arguments."""
        parser = PathPartitionParser.of(style, base_dir, field_names, field_types, filesystem)
        return PathPartitionFilter(parser, filter_fn)

    @property
    def parser(self) -> PathPartitionParser:
        """What reads the values."""
        return self._parser

    def apply(self, path: str) -> bool:
        """Whether to read the file of this path."""
        return bool(self._filter_fn(self._parser(path)))

    def __call__(self, paths: list[str]) -> list[str]:
        """Those of the paths to read."""
        return [path for path in paths if self.apply(path)]


__all__ = ["PartitionStyle", "Partitioning", "PathPartitionFilter", "PathPartitionParser"]
