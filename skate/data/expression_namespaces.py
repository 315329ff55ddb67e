"""Functions of expressions that are special to a kind of column: text, lists, times, structs, tensors, maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from skate.data.datatype import DataType
from skate.data.expressions import Expr, UDFExpr, arrow_function

if TYPE_CHECKING:
    import builtins

_STRING, _BOOL, _INT = DataType(pa.string()), DataType(pa.bool_()), DataType(pa.int32())

TemporalUnit = Literal[
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
]


@dataclass(frozen=True)
class _Namespace:
    _expr: Expr

    def _arrow(self, function: str, kind: DataType | None = None, **options: Any) -> UDFExpr:
        return arrow_function(function, self._expr, kind=kind, **options)

    def _python(self, fn: Any) -> UDFExpr:
        return UDFExpr(DataType(object), fn, [self._expr], {})


class _StringNamespace(_Namespace):
    """Functions of text."""

    def len(self) -> UDFExpr:
        """The number of characters."""
        return self._arrow("utf8_length", _INT)

    def byte_len(self) -> UDFExpr:
        """The number of bytes in UTF-8."""
        return self._arrow("binary_length", _INT)

    def upper(self) -> UDFExpr:
        """In capital letters."""
        return self._arrow("utf8_upper", _STRING)

    def lower(self) -> UDFExpr:
        """In small letters."""
        return self._arrow("utf8_lower", _STRING)

    def capitalize(self) -> UDFExpr:
        """With a capital first letter."""
        return self._arrow("utf8_capitalize", _STRING)

    def title(self) -> UDFExpr:
        """With a capital first letter in each word."""
        return self._arrow("utf8_title", _STRING)

    def swapcase(self) -> UDFExpr:
        """With capital and small letters exchanged."""
        return self._arrow("utf8_swapcase", _STRING)

    def reverse(self) -> UDFExpr:
        """Backwards."""
        return self._arrow("utf8_reverse", _STRING)

    def is_alpha(self) -> UDFExpr:
        """Whether all characters are letters."""
        return self._arrow("utf8_is_alpha", _BOOL)

    def is_alnum(self) -> UDFExpr:
        """Whether all characters are letters or digits."""
        return self._arrow("utf8_is_alnum", _BOOL)

    def is_digit(self) -> UDFExpr:
        """Whether all characters are digits."""
        return self._arrow("utf8_is_digit", _BOOL)

    def is_decimal(self) -> UDFExpr:
        """Whether all characters are decimal digits."""
        return self._arrow("utf8_is_decimal", _BOOL)

    def is_numeric(self) -> UDFExpr:
        """Whether all characters are numeric."""
        return self._arrow("utf8_is_numeric", _BOOL)

    def is_ascii(self) -> UDFExpr:
        """Whether all characters are ASCII."""
        return self._arrow("string_is_ascii", _BOOL)

    def is_lower(self) -> UDFExpr:
        """Whether all letters are small."""
        return self._arrow("utf8_is_lower", _BOOL)

    def is_upper(self) -> UDFExpr:
        """Whether all letters are capital."""
        return self._arrow("utf8_is_upper", _BOOL)

    def is_title(self) -> UDFExpr:
        """Whether each word begins with a capital letter."""
        return self._arrow("utf8_is_title", _BOOL)

    def is_space(self) -> UDFExpr:
        """Whether all characters are white space."""
        return self._arrow("utf8_is_space", _BOOL)

    def is_printable(self) -> UDFExpr:
        """Whether all characters can be printed."""
        return self._arrow("utf8_is_printable", _BOOL)

    def starts_with(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Whether it begins so."""
        return self._arrow("starts_with", _BOOL, pattern=pattern, **kwargs)

    def ends_with(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Whether it ends so."""
        return self._arrow("ends_with", _BOOL, pattern=pattern, **kwargs)

    def contains(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Whether this text is in it."""
        return self._arrow("match_substring", _BOOL, pattern=pattern, **kwargs)

    def match(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Whether it is like an SQL pattern, in which % stands for any text and _ for a character."""
        return self._arrow("match_like", _BOOL, pattern=pattern, **kwargs)

    def match_regex(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Whether a regular expression matches a part of it."""
        return self._arrow("match_substring_regex", _BOOL, pattern=pattern, **kwargs)

    def find(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Where this text begins in it; -1 if it does not."""
        return self._arrow("find_substring", _INT, pattern=pattern, **kwargs)

    def find_regex(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """Where a regular expression first matches; -1 if it does not."""
        return self._arrow("find_substring_regex", _INT, pattern=pattern, **kwargs)

    def count(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """How often this text is in it."""
        return self._arrow("count_substring", _INT, pattern=pattern, **kwargs)

    def count_regex(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """How often a regular expression matches."""
        return self._arrow("count_substring_regex", _INT, pattern=pattern, **kwargs)

    def replace(self, pattern: str, replacement: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """With this text replaced."""
        return self._arrow("replace_substring", _STRING, pattern=pattern, replacement=replacement, **kwargs)

    def replace_regex(self, pattern: str, replacement: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """With what a regular expression matches replaced."""
        return self._arrow(
            "replace_substring_regex", _STRING, pattern=pattern, replacement=replacement, **kwargs
        )

    def replace_slice(self, start: int, stop: int, replacement: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """With the characters from `start` up to `stop` replaced."""
        return self._arrow("utf8_replace_slice", _STRING, start=start, stop=stop, replacement=replacement)

    def extract(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """The named groups of a regular expression, as a struct."""
        return self._arrow("extract_regex", pattern=pattern, **kwargs)

    def split(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """The parts between this text, as a list."""
        return self._arrow("split_pattern", pattern=pattern, **kwargs)

    def split_regex(self, pattern: str, *args: Any, **kwargs: Any) -> UDFExpr:
        """The parts between what a regular expression matches, as a list."""
        return self._arrow("split_pattern_regex", pattern=pattern, **kwargs)

    def split_whitespace(self, *args: Any, **kwargs: Any) -> UDFExpr:
        """The words, as a list."""
        return self._arrow("utf8_split_whitespace", **kwargs)

    def repeat(self, n: int, *args: Any, **kwargs: Any) -> UDFExpr:
        """This many times in a row."""
        return UDFExpr(_STRING, _Repeat(n), [self._expr], {})

    def slice(self, *args: Any, **kwargs: Any) -> UDFExpr:
        """The characters from `start` up to `stop`, each `step`-th."""
        names = ("start", "stop", "step")
        return self._arrow("utf8_slice_codeunits", _STRING, **dict(zip(names, args, strict=False)), **kwargs)

    def pad(
        self, width: int, fillchar: str = " ", side: Literal["left", "right", "both"] = "right"
    ) -> UDFExpr:
        """Filled up to a width.

        Raises:
            ValueError: there is no such side.
        """
        functions = {"left": "utf8_lpad", "right": "utf8_rpad", "both": "utf8_center"}
        if side not in functions:
            raise ValueError(f"side must be 'left', 'right', or 'both', got: {side!r}.")
        return self._arrow(functions[side], _STRING, width=width, padding=fillchar)

    def lpad(self, width: int, padding: str = " ", *args: Any, **kwargs: Any) -> UDFExpr:
        """Filled up on the left to a width."""
        return self._arrow("utf8_lpad", _STRING, width=width, padding=padding, **kwargs)

    def rpad(self, width: int, padding: str = " ", *args: Any, **kwargs: Any) -> UDFExpr:
        """Filled up on the right to a width."""
        return self._arrow("utf8_rpad", _STRING, width=width, padding=padding, **kwargs)

    def center(self, width: int, padding: str = " ", *args: Any, **kwargs: Any) -> UDFExpr:
        """Filled up on both sides to a width."""
        return self._arrow("utf8_center", _STRING, width=width, padding=padding, **kwargs)

    def _strip(self, side: str, characters: str | None) -> UDFExpr:
        if characters is None:
            return self._arrow(f"utf8_{side}_whitespace", _STRING)
        return self._arrow(f"utf8_{side}", _STRING, characters=characters)

    def strip(self, characters: str | None = None) -> UDFExpr:
        """Without white space, or these characters, at both ends."""
        return self._strip("trim", characters)

    def lstrip(self, characters: str | None = None) -> UDFExpr:
        """Without white space, or these characters, on the left."""
        return self._strip("ltrim", characters)

    def rstrip(self, characters: str | None = None) -> UDFExpr:
        """Without white space, or these characters, on the right."""
        return self._strip("rtrim", characters)


@dataclass(frozen=True)
class _Repeat:
    times: int

    def __call__(self, column: Any) -> Any:
        return pc.binary_repeat(column, self.times)


class _ListNamespace(_Namespace):
    """Functions of lists."""

    def len(self) -> UDFExpr:
        """The number of items."""
        return self._arrow("list_value_length", _INT)

    def get(self, index: int) -> UDFExpr:
        """The item at a place; negative counts from the end."""
        return self._python(_ListGet(index))

    def slice(self, start: int | None = None, stop: int | None = None, step: int | None = None) -> UDFExpr:
        """The items from `start` up to `stop`, each `step`-th."""
        return self._arrow("list_slice", start=start or 0, stop=stop, step=step or 1)

    def sort(
        self,
        order: Literal["ascending", "descending"] = "ascending",
        null_placement: Literal["at_start", "at_end"] = "at_end",
    ) -> UDFExpr:
        """The items in order."""
        return self._python(_ListSort(order, null_placement))

    def flatten(self) -> UDFExpr:
        """Lists of lists as lists."""
        return self._python(_list_flatten)


@dataclass(frozen=True)
class _ListGet:
    index: int

    def __call__(self, column: Any) -> Any:
        if self.index >= 0:
            return pc.list_element(column, self.index)
        kind = column.type.value_type
        return pa.array(
            [
                None if row is None or len(row) < -self.index else row[self.index]
                for row in column.to_pylist()
            ],
            kind,
        )


@dataclass(frozen=True)
class _ListSort:
    order: str
    null_placement: str

    def __call__(self, column: Any) -> Any:
        def ordered(row: builtins.list[Any] | None) -> builtins.list[Any] | None:
            if row is None:
                return None
            present = sorted((x for x in row if x is not None), reverse=self.order == "descending")
            nulls = [None] * (len(row) - len(present))
            return present + nulls if self.null_placement == "at_end" else nulls + present

        return pa.array([ordered(row) for row in column.to_pylist()], column.type)


def _list_flatten(column: Any) -> Any:
    rows = column.to_pylist()
    flat = [None if row is None else [x for part in row if part is not None for x in part] for row in rows]
    return pa.array(flat, column.type.value_type)


class _DatetimeNamespace(_Namespace):
    """Functions of dates and times."""

    def year(self) -> UDFExpr:
        """The year."""
        return self._arrow("year")

    def month(self) -> UDFExpr:
        """The month, from 1."""
        return self._arrow("month")

    def day(self) -> UDFExpr:
        """The day of the month, from 1."""
        return self._arrow("day")

    def hour(self) -> UDFExpr:
        """The hour."""
        return self._arrow("hour")

    def minute(self) -> UDFExpr:
        """The minute."""
        return self._arrow("minute")

    def second(self) -> UDFExpr:
        """The second."""
        return self._arrow("second")

    def strftime(self, fmt: str) -> UDFExpr:
        """As text, in a format like `%Y-%m-%d`."""
        return self._arrow("strftime", _STRING, format=fmt)

    def ceil(self, unit: TemporalUnit) -> UDFExpr:
        """Rounded up to a unit."""
        return self._arrow("ceil_temporal", multiple=1, unit=unit)

    def floor(self, unit: TemporalUnit) -> UDFExpr:
        """Rounded down to a unit."""
        return self._arrow("floor_temporal", multiple=1, unit=unit)

    def round(self, unit: TemporalUnit) -> UDFExpr:
        """Rounded to the nearest unit."""
        return self._arrow("round_temporal", multiple=1, unit=unit)


class _StructNamespace(_Namespace):
    """Functions of structs."""

    def field(self, field_name: str) -> UDFExpr:
        """A field, by name."""
        return self._arrow("struct_field", indices=field_name)

    def field_by_index(self, index: int) -> UDFExpr:
        """A field, by place."""
        return self._arrow("struct_field", indices=[index])

    def __getitem__(self, field_name: str) -> UDFExpr:
        return self.field(field_name)


class _ArrayNamespace(_Namespace):
    """Functions of tensors and lists of one size."""

    def to_list(self) -> UDFExpr:
        """As lists."""
        return self._python(_to_list)


def _to_list(column: Any) -> Any:
    from skate.data.extensions.tensor import is_tensor_type, tensor_to_numpy

    if is_tensor_type(column.type):
        return pa.array([None if row is None else row.tolist() for row in tensor_to_numpy(column)])
    return pa.array(column.to_pylist(), pa.list_(column.type.value_type))


class _MapNamespace(_Namespace):
    """Functions of maps."""

    def keys(self) -> UDFExpr:
        """The keys, as a list."""
        return self._python(_map_keys)

    def values(self) -> UDFExpr:
        """The items, as a list."""
        return self._python(_map_values)


def _map_keys(column: Any) -> Any:
    rows = column.to_pylist()
    return pa.array([None if r is None else [k for k, _ in r] for r in rows], pa.list_(column.type.key_type))


def _map_values(column: Any) -> Any:
    rows = column.to_pylist()
    return pa.array([None if r is None else [v for _, v in r] for r in rows], pa.list_(column.type.item_type))


__all__ = ["TemporalUnit"]
