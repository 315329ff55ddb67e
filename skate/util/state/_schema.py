"""What every row of the state API can do, and how its columns are declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field
from typing import Any


def state_column(
    *, filterable: bool, detail: bool = False, format_fn: Callable[[Any], Any] | None = None, **kwargs: Any
) -> Any:
    """A column of a row.

    Args:
        filterable: Whether `filters` may name it.
        detail: Whether it is filled only when `detail=True` is asked for.
        format_fn: How it is shown to people.
        **kwargs: As for `dataclasses.field`.
    """
    if detail:
        kwargs.setdefault("default", None)
    about = {"detail": detail, "filterable": filterable, "format_fn": format_fn}
    return field(metadata=about, **kwargs)


class StateSchema:
    """A row: attributes, `row["column"]` and `row.asdict()`."""

    @classmethod
    def _fields(cls) -> tuple[dataclasses.Field[Any], ...]:
        return dataclasses.fields(cls)  # type: ignore[arg-type]

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        """The columns' names, with or without those of `detail=True`."""
        return [f.name for f in cls._fields() if detail or not f.metadata.get("detail")]

    @classmethod
    def columns(cls) -> set[str]:
        """All columns."""
        return set(cls.list_columns(detail=True))

    @classmethod
    def base_columns(cls) -> set[str]:
        """The columns that are always filled."""
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        """The columns of `detail=True`."""
        return cls.columns()

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """The columns that `filters` may name."""
        return {f.name for f in cls._fields() if f.metadata.get("filterable")}

    @classmethod
    def humanify(cls, state: dict[str, Any]) -> dict[str, Any]:
        """A row's dictionary with times and sizes as people read them."""
        for column in cls._fields():
            form = column.metadata.get("format_fn")
            if form is not None and state.get(column.name) is not None:
                state[column.name] = form(state[column.name])
        return state

    def asdict(self) -> dict[str, Any]:
        """The columns by name."""
        return {name: getattr(self, name) for name in self.list_columns()}

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """A column, or `default` if there is none of that name."""
        return getattr(self, name, default)


class Humanify:
    """Values as people read them."""

    @staticmethod
    def timestamp(milliseconds: float) -> str:
        """A time of day."""
        import datetime

        if milliseconds <= 0:
            return str(milliseconds)
        when = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC).astimezone()
        return when.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")

    @staticmethod
    def memory(size: float) -> str:
        """A number of bytes."""
        for unit in ("B", "KiB", "MiB"):
            if size < 1024:
                return f"{size:.3f} {unit}"
            size /= 1024
        return f"{size:.3f} GiB"

    @staticmethod
    def duration(milliseconds: float) -> str:
        """A length of time."""
        return f"{milliseconds / 1000:.3f} s"

    @staticmethod
    def node_resources(resources: dict[str, float]) -> dict[str, Any]:
        """Resources, with those that are memory in readable units."""
        return {n: Humanify.memory(a) if "memory" in n else a for n, a in resources.items()}
