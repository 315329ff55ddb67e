"""What a dataset is, before anything has run: a tree of operators. They are values, and nothing here computes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from skate.data.expressions import ColumnExpr, Expr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from skate.data.execution.bundle import Bundle
    from skate.data.options import RandomSeedConfig


@dataclass(frozen=True, eq=False)
class Operator:
    """A node of the plan.

    Attributes:
        inputs: The operators whose rows it takes.
    """

    inputs: tuple[Operator, ...]

    @property
    def name(self) -> str:
        """What users see it called."""
        return type(self).__name__

    @property
    def kind(self) -> str:
        """What `explain()` calls its kind."""
        return type(self).__name__

    def with_inputs(self, inputs: Sequence[Operator]) -> Operator:
        """The same over other inputs."""
        return self if tuple(inputs) == self.inputs else replace(self, inputs=tuple(inputs))


@dataclass(frozen=True, eq=False)
class InputData(Operator):
    """Blocks that exist already."""

    inputs: tuple[Operator, ...] = ()
    bundles: tuple[Bundle, ...] = ()

    @property
    def name(self) -> str:
        """`Input`."""
        return "Input"


@dataclass(frozen=True)
class ParquetScan:
    """Parquet files that the native engine can read by itself.

    Attributes:
        paths: Local files, all of one schema.
        schema: That schema.
        columns: The columns to read; None for all.
        rows: The rows of all files, or None.
        size_bytes: About the size in memory of the columns to read.
    """

    paths: tuple[str, ...]
    schema: pa.Schema
    columns: tuple[str, ...] | None = None
    rows: int | None = None
    size_bytes: int = 0


@dataclass(frozen=True, eq=False)
class Read(Operator):
    """Blocks that read tasks make.

    Attributes:
        source: Called with a number of blocks; gives the read tasks.
        label: What users see it called.
        blocks: How many blocks to make.
        schema: The schema, where it is known beforehand.
        rows: The rows, where they are known beforehand.
        scan: The files, where the native engine can read them.
        datasource: What reads, for pruning columns and rows.
        files: The files that are read.
        options: Options of the tasks that read.
        concurrency: How many tasks read at a time, or None.
    """

    inputs: tuple[Operator, ...] = ()
    source: Callable[[int], list[Any]] = field(default=lambda blocks: [])
    label: str = "Read"
    blocks: int = 1
    schema: pa.Schema | None = None
    rows: int | None = None
    size_bytes: int | None = None
    scan: ParquetScan | None = None
    datasource: Any = None
    files: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    concurrency: int | None = None
    predicate: Expr | None = None

    @property
    def name(self) -> str:
        """The label."""
        return self.label


@dataclass(frozen=True)
class Compute:
    """Where and with what a function runs.

    Attributes:
        concurrency: At most so many tasks at a time; None leaves it to the number of CPUs.
        pool: Sizes of an actor pool (least, most, initial), or None for tasks.
        options: Options of the tasks or actors, as `skate.remote` takes them.
        options_fn: Called for each task for more options.
        explicit: Whether the user asked for anything of this, so that it must not run in this process.
        in_flight: Calls that an actor may have waiting; None for the default.
        calls: Calls that an actor runs at a time; None for one.
    """

    concurrency: int | None = None
    pool: tuple[int, int, int] | None = None
    options: tuple[tuple[str, Any], ...] = ()
    options_fn: Callable[[], dict[str, Any]] | None = None
    explicit: bool = False
    in_flight: int | None = None
    calls: int | None = None


@dataclass(frozen=True)
class Function:
    """A user's function with its arguments.

    Attributes:
        fn: A function, an instance, or a class whose instances are functions.
        args: Further positional arguments.
        kwargs: Further arguments by name.
        init_args: Arguments of the class.
        init_kwargs: Arguments of the class by name.
    """

    fn: Any
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()
    init_args: tuple[Any, ...] = ()
    init_kwargs: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """The function's name."""
        fn = self.fn
        target = getattr(fn, "func", fn)
        name = getattr(target, "__name__", None) or type(fn).__name__
        owner = getattr(fn, "__self__", None)
        if owner is not None and not isinstance(owner, type):
            return f"{type(owner).__name__}.{name}"
        return str(name)


@dataclass(frozen=True, eq=False)
class AbstractMap(Operator):
    """A user's function over the rows or batches of the input."""

    function: Function = field(default_factory=lambda: Function(None))
    compute: Compute = field(default_factory=Compute)

    label = "Map"

    @property
    def name(self) -> str:
        """`Map(function)`."""
        return f"{self.label}({self.function.label})"


@dataclass(frozen=True, eq=False)
class MapRows(AbstractMap):
    """One row for each row."""


@dataclass(frozen=True, eq=False)
class FlatMap(AbstractMap):
    """Any number of rows for each row."""

    label = "FlatMap"


@dataclass(frozen=True, eq=False)
class FilterRows(AbstractMap):
    """The rows for which a function is true."""

    label = "Filter"


@dataclass(frozen=True, eq=False)
class MapBatches(AbstractMap):
    """Batches for each batch.

    Attributes:
        batch_size: Rows of a batch; None for whole blocks.
        batch_format: As `resolve_batch_format` gives it.
        zero_copy: Whether the function may get views that it can't write into.
        display: A name to show instead of the function's.
    """

    batch_size: int | None = None
    batch_format: str = "numpy"
    zero_copy: bool = True
    display: str | None = None

    label = "MapBatches"

    @property
    def name(self) -> str:
        """`MapBatches(function)`."""
        return f"{self.label}({self.display or self.function.label})"


@dataclass(frozen=True, eq=False)
class Project(Operator):
    """Columns computed from columns."""

    exprs: tuple[Expr, ...] = ()
    compute: Compute = field(default_factory=Compute)


@dataclass(frozen=True, eq=False)
class Filter(Operator):
    """The rows for which an expression is true."""

    predicate: Expr = field(default_factory=lambda: ColumnExpr(""))
    compute: Compute = field(default_factory=Compute)

    @property
    def name(self) -> str:
        """`Filter(expression)`."""
        return f"Filter({self.predicate.inline()})"


@dataclass(frozen=True, eq=False)
class Limit(Operator):
    """The first rows."""

    limit: int = 0

    @property
    def name(self) -> str:
        """`limit=n`."""
        return f"limit={self.limit}"


@dataclass(frozen=True, eq=False)
class Sort(Operator):
    """The rows in order of some columns; nulls last."""

    keys: tuple[str, ...] = ()
    descending: tuple[bool, ...] = ()


@dataclass(frozen=True, eq=False)
class Aggregate(Operator):
    """One row for each group, or one for all rows if there are no keys."""

    keys: tuple[str, ...] = ()
    aggs: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class MapGroups(Operator):
    """A user's function over each group."""

    keys: tuple[str, ...] = ()
    function: Function = field(default_factory=lambda: Function(None))
    compute: Compute = field(default_factory=Compute)
    batch_format: str = "numpy"

    @property
    def name(self) -> str:
        """`MapGroups(function)`."""
        return f"MapGroups({self.function.label})"


@dataclass(frozen=True, eq=False)
class Join(Operator):
    """Rows of two inputs, matched by columns."""

    how: str = "inner"
    left_on: tuple[str, ...] = ()
    right_on: tuple[str, ...] = ()
    left_suffix: str | None = None
    right_suffix: str | None = None


@dataclass(frozen=True, eq=False)
class Distinct(Operator):
    """The different values of some columns, in the order they first appear."""

    keys: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SQL(Operator):
    """The answer to a query over the inputs.

    Attributes:
        query: The query.
        names: What it calls the inputs.
    """

    query: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Union(Operator):
    """The rows of all inputs, one input after the other."""


@dataclass(frozen=True, eq=False)
class Mix(Operator):
    """Blocks of all inputs in turn, by weight."""

    weights: tuple[float, ...] = ()
    stop: str = "stop_on_longest_drop"


@dataclass(frozen=True, eq=False)
class Zip(Operator):
    """Rows of all inputs side by side."""


@dataclass(frozen=True, eq=False)
class Repartition(Operator):
    """The rows in a number of blocks, or in blocks of a number of rows."""

    blocks: int | None = None
    target_rows: int | None = None
    strict: bool = False
    shuffle: bool = False
    keys: tuple[str, ...] = ()
    sort: bool = False

    @property
    def kind(self) -> str:
        """`StreamingRepartition` where it needs no more than the next rows."""
        return "StreamingRepartition" if self.target_rows else "Repartition"


@dataclass(frozen=True, eq=False)
class RandomShuffle(Operator):
    """The rows in random order."""

    seed: int | RandomSeedConfig | None = None
    blocks: int | None = None


@dataclass(frozen=True, eq=False)
class RandomizeBlocks(Operator):
    """The blocks in random order."""

    seed: int | RandomSeedConfig | None = None

    @property
    def name(self) -> str:
        """`RandomizeBlockOrder`."""
        return "RandomizeBlockOrder"


@dataclass(frozen=True, eq=False)
class RandomSample(Operator):
    """Each row with a probability."""

    fraction: float = 1.0
    seed: int | RandomSeedConfig | None = None


@dataclass(frozen=True, eq=False)
class Write(Operator):
    """The rows given to a datasink; its own rows are what the sink's writes returned."""

    datasink: Any = None
    compute: Compute = field(default_factory=Compute)


def walk(op: Operator) -> list[Operator]:
    """The operator and all below it, inputs first."""
    seen: list[Operator] = []
    for child in op.inputs:
        seen += walk(child)
    return [*seen, op]


def known_rows(op: Operator) -> int | None:
    """How many rows there will be, if that can be told without running."""
    if isinstance(op, InputData):
        return int(sum(bundle.rows for bundle in op.bundles))
    if isinstance(op, Read):
        return op.rows if op.predicate is None else None
    if isinstance(op, Limit):
        inner = known_rows(op.inputs[0])
        return None if inner is None else min(op.limit, inner)
    if isinstance(op, (MapRows, Project, Sort, RandomShuffle, RandomizeBlocks, Repartition)):
        return known_rows(op.inputs[0])
    return None


def known_schema(op: Operator) -> pa.Schema | None:
    """The columns that there will be, if that can be told without running."""
    from skate.data.plan import schemas

    return schemas.infer(op)


__all__ = [
    "AbstractMap",
    "Aggregate",
    "Compute",
    "Distinct",
    "Filter",
    "FilterRows",
    "FlatMap",
    "Function",
    "InputData",
    "Join",
    "Limit",
    "MapBatches",
    "MapGroups",
    "MapRows",
    "Mix",
    "Operator",
    "ParquetScan",
    "Project",
    "RandomSample",
    "RandomShuffle",
    "RandomizeBlocks",
    "Read",
    "Repartition",
    "SQL",
    "Sort",
    "Union",
    "Write",
    "Zip",
    "known_rows",
    "known_schema",
    "walk",
]
