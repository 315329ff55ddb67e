"""Methods of `Dataset` that tell about it: its plans, its statistics, its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.methods.base import DatasetBase
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.data.dataset import Dataset
    from skate.data.summary import DatasetSummary


class SummarisingMethods(DatasetBase):
    """What a dataset tells about itself."""

    def explain(self) -> None:
        """Print how it will be computed: its plan, that after the rewrite rules, and the stages it runs in."""
        from skate.data.explain import explain

        print(explain(self._plan))  # noqa: T201 - that is what it is for

    def stats(self) -> str:
        """What each stage of the last run did."""
        from skate.data.stats import stats_text

        return stats_text(self._last)

    def get_stats_summary(self, detail: bool = False) -> Any:
        """The same as objects.

        Args:
            detail: Accepted for Ray's programs.
        """
        from skate.data.stats import summary

        return summary(self._last)

    def summary(
        self,
        columns: list[str] | None = None,
        override_dtype_agg_mapping: dict[Any, Callable[[str], list[Any]]] | None = None,
    ) -> DatasetSummary:
        """Statistics of the columns, computed in one run.

        Args:
            columns: Which; None for all.
            override_dtype_agg_mapping: Types to functions that give a column's aggregations.
        """
        from skate.data.summary import summarise

        return summarise(self, columns, override_dtype_agg_mapping)  # type: ignore[arg-type]

    def describe(self) -> Any:
        """Count, nulls, mean, deviation, least, quartiles and greatest of each column, as a DataFrame.

        Example:
            >>> import skate.data
            >>> frame = skate.data.range(5).describe()
            >>> float(frame.loc["mean", "id"])
            2.0
        """
        from skate.data.summary import describe

        return describe(self)  # type: ignore[arg-type]

    def sql(self, query: str, **tables: Dataset) -> Dataset:
        """The answer to an SQL query over this dataset, which it calls `this`, and others.

        Args:
            query: The query, in the dialect of the native engine.
            tables: Other datasets, by the names that the query uses.

        Example:
            >>> import skate.data
            >>> skate.data.range(4).sql("select sum(id) as total from this where id > 1").take_all()
            [{'total': 5}]
        """
        others = tuple(tables)
        inputs = (self._plan, *(tables[name]._plan for name in others))
        return self._with(lg.SQL(inputs, query, ("this", *others)))


__all__ = ["SummarisingMethods"]
