"""Workers' output comes out the same however the pipe cuts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skate.engine.local.node import output
from skate.engine.local.node.output import MARK, Lines

if TYPE_CHECKING:
    import pytest

_TEXT = st.text(alphabet="ab\n é", max_size=12).map(str.encode)
_NAMES = st.text(alphabet="fg_.é", min_size=1, max_size=6)
_PRINTED = st.lists(st.tuples(_NAMES, _TEXT), max_size=8)


def _stream(printed: Sequence[tuple[str, bytes]]) -> bytes:
    return b"".join(MARK + name.encode() + b"\n" + text for name, text in printed)


def _cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


def _joined(pieces: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """What each printed, in order, whatever pieces it came in."""
    groups = groupby(pieces, key=lambda piece: piece[0])
    return [(name, text) for name, group in groups if (text := b"".join(part for _, part in group))]


def _fed(pieces: Iterable[bytes]) -> list[tuple[str, bytes]]:
    lines = Lines()
    out = [line for piece in pieces for line in lines.feed(piece)]
    return out + lines.close()


@given(printed=_PRINTED, places=st.lists(st.integers(0, 1000), max_size=20))
def test_any_split_gives_what_was_printed(printed: list[tuple[str, bytes]], places: list[int]) -> None:
    data = _stream(printed)
    expected = _joined((name, text) for name, text in printed if text)
    if data and not data.endswith(b"\n"):
        expected[-1] = (expected[-1][0], expected[-1][1] + b"\n")
    assert _joined(_fed(_cut(data, places))) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(printed=_PRINTED, places=st.lists(st.integers(0, 1000), max_size=20))
def test_a_line_over_the_limit_loses_no_byte_and_no_name(
    monkeypatch: pytest.MonkeyPatch, printed: list[tuple[str, bytes]], places: list[int]
) -> None:
    monkeypatch.setattr(output, "_LONGEST", 4)

    def without_last_newline(pieces: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        if pieces:
            name, text = pieces[-1]
            pieces[-1] = (name, text.removesuffix(b"\n"))
        return [piece for piece in pieces if piece[1]]

    data = _stream(printed)
    expected = without_last_newline(_joined((name, text) for name, text in printed if text))
    assert without_last_newline(_joined(_fed(_cut(data, places)))) == expected


@given(printed=_PRINTED, places=st.lists(st.integers(0, 1000), max_size=20))
def test_lines_are_never_passed_on_in_part(printed: list[tuple[str, bytes]], places: list[int]) -> None:
    whole = [(name, text + b"\n") for name, text in printed]
    lines = Lines()
    for piece in _cut(_stream(whole), places):
        for _name, text in lines.feed(piece):
            assert text.endswith(b"\n")
    assert lines.close() == []
