"""Lines that several workers print alike: which are shown, and when the count of the others is told."""

from __future__ import annotations

import pytest

from skate.engine.local.duplicates import Duplicates, from_environment


def texts(lines: list[tuple[str, int, str]]) -> list[str]:
    return [line for _name, _pid, line in lines]


def test_the_first_of_several_workers_is_shown_and_the_others_are_counted() -> None:
    lines = Duplicates(window=5)
    assert lines.feed("A", 1, ["step 1\n"], 0.0) == [("A", 1, "step 1\n")]
    assert [lines.feed("A", pid, [f"step {pid}\n"], 0.1) for pid in (2, 3, 4)] == [[], [], []]
    assert lines.due() == 5.0
    assert lines.tick(4.9) == []
    (found,) = lines.tick(5.0)
    assert found[:2] == ("A", 4)
    assert found[2].startswith("step 4 [repeated 3x across cluster] (")
    assert "RAY_DEDUP_LOGS=0" in found[2]


def test_what_one_worker_repeats_is_shown_each_time() -> None:
    lines = Duplicates()
    for number in range(5):
        assert texts(lines.feed("A", 1, [f"step {number}\n"], 0.0)) == [f"step {number}\n"]
    assert lines.due() is None


def test_a_line_that_only_one_other_printed_is_shown_as_it_is() -> None:
    lines = Duplicates(window=5)
    lines.feed("A", 1, ["ready\n"], 0.0)
    lines.feed("B", 2, ["ready\n"], 1.0)
    assert lines.tick(5.0) == [("B", 2, "ready\n")]
    assert lines.due() is None


def test_counting_goes_on_after_a_count_was_told() -> None:
    lines = Duplicates(window=5)
    for pid in (1, 2, 3):
        lines.feed("A", pid, ["x\n"], 0.0)
    assert "[repeated 2x" in texts(lines.tick(5.0))[0]
    assert lines.feed("A", 1, ["x\n"], 6.0) == [] and lines.feed("A", 1, ["x\n"], 6.0) == []
    assert texts(lines.tick(10.0)) == ["x [repeated 2x across cluster]\n"], "the hint is given once"
    assert lines.tick(15.0) == [], "nothing more has come"
    assert texts(lines.feed("A", 9, ["x\n"], 16.0)) == ["x\n"], "it counts as new again"


def test_counts_that_are_due_come_with_what_is_printed_next() -> None:
    lines = Duplicates(window=5)
    for pid in (1, 2, 3):
        lines.feed("A", pid, ["x\n"], 0.0)
    found = texts(lines.feed("A", 1, ["other\n"], 7.0))
    assert found[0] == "other\n" and found[1].startswith("x [repeated 2x")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("item 1 x", "item 22 x", True),
        ("at 0x7fab12", "at 0x00", True),
        ("loss=0.5", "loss=0.25", True),
        ("item1", "item2", True),
        ("item a", "item b", False),
    ],
)
def test_lines_that_differ_in_numbers_are_alike(one: str, other: str, alike: bool) -> None:
    lines = Duplicates()
    lines.feed("A", 1, [one], 0.0)
    assert lines.feed("A", 2, [other], 0.0) == ([] if alike else [("A", 2, other)])


def test_what_is_always_shown_and_what_never() -> None:
    lines = Duplicates(always="keep", never="noise")
    assert lines.feed("A", 1, ["noise\n"], 0.0) == []
    for pid in (1, 2, 3):
        assert texts(lines.feed("A", pid, ["keep the noise\n"], 0.0)) == ["keep the noise\n"]


def test_nothing_that_was_counted_is_lost_at_the_end() -> None:
    lines = Duplicates()
    for pid in (1, 2):
        lines.feed("A", pid, ["twice\n"], 0.0)
    for pid in (1, 2, 3):
        lines.feed("A", pid, ["thrice\n"], 0.0)
    found = texts(lines.flush())
    assert found[0] == "twice\n" and found[1].startswith("thrice [repeated 2x")
    assert lines.flush() == []


def test_memory_is_bounded_and_no_line_is_lost() -> None:
    lines = Duplicates()
    lines.feed("A", 1, ["first"], 0.0)
    lines.feed("A", 2, ["first"], 0.0)
    found: list[str] = []
    for number in range(10_000):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        found += texts(lines.feed("A", 1, [f"word {word}"], 0.0))
    assert len(found) == 10_001 and "first" in found


def test_long_lines_have_no_like() -> None:
    lines = Duplicates()
    for pid in (1, 2):
        assert len(lines.feed("A", pid, ["x" * 5000], 0.0)) == 1


def test_the_environment_turns_it_off_and_sets_it_up() -> None:
    assert from_environment({"RAY_DEDUP_LOGS": "0"}) is None
    found = from_environment({"RAY_DEDUP_LOGS_AGG_WINDOW_S": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "^no"})
    assert found is not None
    assert found.feed("A", 1, ["no\n", "yes\n"], 0.0) == [("A", 1, "yes\n")]
    found.feed("A", 2, ["yes\n"], 0.5)
    assert found.due() == 1.0
    with pytest.raises(ValueError, match="RAY_DEDUP_LOGS_ALLOW_REGEX"):
        from_environment({"RAY_DEDUP_LOGS_ALLOW_REGEX": "("})
