"""Ranges of the shared-memory file: no overlap, all of them inside, and gaps that grow together again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skate.engine.local.node.allocator import HUGE, PAGE, Allocator

_SIZES = st.one_of(
    st.integers(0, 5 * PAGE), st.sampled_from([HUGE - 1, HUGE, HUGE + 1, 3 * HUGE]), st.integers(1, 40 * HUGE)
)
_STEPS = st.lists(st.tuples(st.booleans(), _SIZES, st.integers(0, 1000)), max_size=80)


def _length(size: int) -> int:
    return -(-max(size, 1) // PAGE) * PAGE


def _complement(taken: dict[int, int], end: int) -> list[tuple[int, int]]:
    gaps, start = [], 0
    for offset in sorted(taken):
        if offset > start:
            gaps.append((start, offset - start))
        start = offset + taken[offset]
    return [*gaps, (start, end - start)] if start < end else gaps


def _fits_somewhere(gaps: list[tuple[int, int]], length: int) -> bool:
    align = HUGE if length >= HUGE else PAGE
    return any(start + gap - -(-start // align) * align >= length for start, gap in gaps)


@given(pages=st.integers(1, 12 * HUGE // PAGE), steps=_STEPS)
def test_ranges_never_overlap_and_everything_freed_gives_one_gap(
    pages: int, steps: list[tuple[bool, int, int]]
) -> None:
    capacity = pages * PAGE
    allocator = Allocator(capacity)
    taken: dict[int, int] = {}
    highest = 0
    for take, size, which in steps:
        if take or not taken:
            gaps = _complement(taken, capacity)
            offset = allocator.allocate(size)
            assert (offset is not None) == _fits_somewhere(gaps, _length(size))
            if offset is None:
                continue
            assert offset % (HUGE if _length(size) >= HUGE else PAGE) == 0
            assert any(start <= offset and offset + _length(size) <= start + gap for start, gap in gaps)
            taken[offset] = _length(size)
            highest = max(highest, offset + taken[offset])
        else:
            offset = sorted(taken)[which % len(taken)]
            del taken[offset]
            allocator.free(offset)
        assert allocator.used == sum(taken.values())
        assert allocator.dirty == highest
        assert allocator.gaps() == _complement(taken, highest)
    for offset in taken:
        allocator.free(offset)
    assert allocator.used == 0
    assert allocator.gaps() == ([(0, highest)] if highest else [])
    assert allocator.allocate(capacity) == 0


def test_a_store_of_nothing_has_room_for_nothing() -> None:
    assert Allocator(0).allocate(1) is None


def test_memory_that_was_touched_is_used_again_first() -> None:
    allocator = Allocator(10 * PAGE)
    first = allocator.allocate(PAGE)
    assert first == 0
    assert allocator.allocate(PAGE) == PAGE
    allocator.free(first)
    assert allocator.allocate(PAGE) == first
