"""What a datasource can leave out while it reads: columns that nothing asks for, rows that a filter would drop."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from skate.data.expressions import Expr


class Pushdown:
    """Base of what can be told which columns and rows are wanted.

    A datasource that can do so overrides `supports_projection_pushdown` or `supports_predicate_pushdown`. Then the
    columns and the condition of operators that follow the read are given to a copy of it, whose `get_read_tasks` has to
    heed `get_projection_map` and `get_current_predicate`. A filter that was given to it does not run a second time.

    Example:
        >>> import pyarrow as pa, skate.data
        >>> from skate.data.block import BlockMetadata
        >>> class Squares(skate.data.Datasource):
        ...     def supports_projection_pushdown(self):
        ...         return True
        ...     def estimate_inmemory_data_size(self):
        ...         return None
        ...     def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        ...         names = list(self.get_projection_map() or ["n", "square"])
        ...         def read():
        ...             print("columns read:", names)
        ...             return [pa.table({"n": [1, 2], "square": [1, 4]}).select(names)]
        ...         return [skate.data.ReadTask(read, BlockMetadata(2, None, None))]
        >>> skate.data.read_datasource(Squares()).select_columns(["square"]).take_all()
        columns read: ['square']
        [{'square': 1}, {'square': 4}]
    """

    # Of the class, so that subclasses need not call this one's constructor.
    _projection_map: dict[str, str] | None = None
    _predicate_expr: Expr | None = None

    def supports_projection_pushdown(self) -> bool:
        """Whether it can read some columns only."""
        return False

    def get_projection_map(self) -> dict[str, str] | None:
        """The columns to read, each as its own name; None for all, an empty dict for none."""
        return self._projection_map

    def apply_projection(self, projection_map: Mapping[str, str] | None) -> Self:
        """A copy that reads these columns only, out of those that it read before.

        Args:
            projection_map: The columns, as keys; None for all. Reading gives no new names: what the keys stand for is
                not looked at.
        """
        clone = copy.copy(self)
        before = self.get_projection_map()
        if projection_map is None:
            wanted = before
        elif before is None:
            wanted = {name: name for name in projection_map}
        else:
            wanted = {name: name for name in before if name in projection_map}
        clone._projection_map = wanted
        return clone

    def _get_data_columns(self) -> list[str] | None:
        """The columns to read, as a list; None for all."""
        chosen = self.get_projection_map()
        return None if chosen is None else list(chosen)

    def supports_predicate_pushdown(self) -> bool:
        """Whether it can read the rows only for which a condition is true."""
        return False

    def get_current_predicate(self) -> Expr | None:
        """The condition of the rows to read; None for all rows."""
        return self._predicate_expr

    def apply_predicate(self, predicate_expr: Expr) -> Self:
        """A copy that reads only the rows for which this is true too.

        Args:
            predicate_expr: The condition.
        """
        clone = copy.copy(self)
        before = self.get_current_predicate()
        clone._predicate_expr = predicate_expr if before is None else before & predicate_expr
        return clone


__all__ = ["Pushdown"]
