"""Stages of a processor: functions over lists of rows, whose results are added to the rows."""

from __future__ import annotations

import abc
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

DATA_COLUMN = "__data"
ERROR_COLUMN = "__inference_error__"


class Carried:
    """A row on its way through the stages. It is no dict, so that it travels as it is, whatever its values are."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __reduce__(self) -> tuple[Any, ...]:
        return Carried, (self.values,)

    @property
    def failed(self) -> bool:
        """Whether a stage could not answer it."""
        return bool(self.values.get(ERROR_COLUMN))


class StageFunction(abc.ABC):
    """What a stage does. It is instantiated once in each actor.

    Attributes:
        required: Names of what each row must have, with what they mean.
        optional: Names of what a row may have.
    """

    required: ClassVar[dict[str, str]] = {}
    optional: ClassVar[dict[str, str]] = {}

    @abc.abstractmethod
    def answer(self, rows: list[dict[str, Any]]) -> Any:
        """What is added to each of the rows: a list of dicts in their order, or a coroutine that gives it."""

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """A batch of rows on their way, after this stage."""
        carried: list[Carried] = list(batch[DATA_COLUMN])
        going = [row for row in carried if not row.failed]
        for row in going:
            missing = set(self.required) - set(row.values)
            if missing:
                raise ValueError(
                    f"Required input keys {sorted(missing)} not found at the input of {type(self).__name__}, whose rows have "
                    f"{sorted(row.values)}: let `preprocess` return them."
                )
        if going:
            answers = self.answer([row.values for row in going])
            if inspect.isawaitable(answers):
                answers = await answers
            for row, answer in zip(going, answers, strict=True):
                row.values.update(answer)
        yield {DATA_COLUMN: as_column(carried)}


def as_column(rows: list[Carried]) -> np.ndarray[Any, Any]:
    """Rows on their way as a column of objects."""
    column: np.ndarray[Any, Any] = np.empty(len(rows), dtype=object)
    for place, row in enumerate(rows):
        column[place] = row
    return column


@dataclass
class Stage:
    """A stage: a class, the arguments of its constructor, and those of `map_batches`.

    Attributes:
        fn: The class of its function.
        fn_constructor_kwargs: The arguments of the class.
        map_batches_kwargs: Where and in what batches it runs.
    """

    fn: type[StageFunction]
    fn_constructor_kwargs: dict[str, Any] = field(default_factory=dict)
    map_batches_kwargs: dict[str, Any] = field(default_factory=dict)

    def get_required_input_keys(self) -> dict[str, str]:
        """What each row must have, with what it means."""
        return dict(self.fn.required)

    def get_optional_input_keys(self) -> dict[str, str]:
        """What a row may have, with what it means."""
        return dict(self.fn.optional)


__all__ = ["Carried", "DATA_COLUMN", "ERROR_COLUMN", "Stage", "StageFunction", "as_column"]
