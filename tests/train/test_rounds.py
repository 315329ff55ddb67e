from __future__ import annotations

import pytest

from skate.train._run.rounds import Arrival, LateWatch, Rounds, RoundsDiffer


def test_a_round_is_complete_when_all_have_come() -> None:
    rounds = Rounds(2)
    assert rounds.arrive(1, Arrival("report", "a.py:1", "b")) is None
    done = rounds.arrive(0, Arrival("report", "a.py:1", "a"))
    assert done is not None and [arrival.value for arrival in done] == ["a", "b"]
    assert rounds.arrive(0, Arrival("barrier", "a.py:2")) is None, "a new round"


def test_different_calls_are_named_with_their_lines() -> None:
    rounds = Rounds(2)
    rounds.arrive(1, Arrival("barrier", "a.py:7"))
    with pytest.raises(RoundsDiffer, match=r"rank 1 has called barrier\(\) at a.py:7 where rank 0") as caught:
        rounds.arrive(0, Arrival("report", "a.py:9"))
    assert caught.value.ranks == [0, 1]


@pytest.mark.parametrize("end_first", [True, False])
def test_a_rank_that_has_ended_is_not_waited_for(end_first: bool) -> None:
    rounds = Rounds(2)
    if end_first:
        rounds.end(1)
        with pytest.raises(RoundsDiffer, match=r"returned on rank 1 .* rank 0 waits in call 1, report"):
            rounds.arrive(0, Arrival("report", "a.py:9"))
    else:
        rounds.arrive(0, Arrival("report", "a.py:9"))
        with pytest.raises(RoundsDiffer, match="returned on rank 1") as caught:
            rounds.end(1)
        assert caught.value.ranks == [1]


def test_a_rank_that_is_gone_is_not_waited_for_where_that_has_a_meaning() -> None:
    rounds = Rounds(3)
    for rank in (0, 1):
        assert rounds.arrive(rank, Arrival("report", "a.py:1", rank)) is None
    done = rounds.leave(2)
    assert done is not None and [arrival.value for arrival in done] == [0, 1] and rounds.there == [0, 1]
    assert rounds.arrive(1, Arrival("get_preemption_info", "a.py:2")) is None
    assert rounds.arrive(0, Arrival("get_preemption_info", "a.py:2")) is not None
    assert rounds.arrive(0, Arrival("barrier", "a.py:3")) is None
    assert rounds.arrive(1, Arrival("barrier", "a.py:3")) is None, "it can't be done without rank 2"


def test_all_may_end() -> None:
    rounds = Rounds(2)
    rounds.end(0)
    assert not rounds.all_ended
    rounds.end(1)
    assert rounds.all_ended


def test_a_round_can_be_given_up() -> None:
    rounds = Rounds(3)
    rounds.arrive(2, Arrival("report", "a.py:1"))
    rounds.arrive(0, Arrival("report", "a.py:1"))
    assert list(rounds.waiting) == [0, 2] and rounds.missing == [1]
    assert rounds.give_up() == [0, 2] and not rounds.waiting


def test_a_round_that_lasts_is_told_of_and_given_up_in_time() -> None:
    late = LateWatch(timeout_s=25.0, warn_every_s=10.0)
    assert late.next_look is None and late.look(5.0) is None
    late.see(True, 100.0)
    late.see(True, 105.0)
    assert late.next_look == 110.0 and late.look(109.0) is None
    assert late.look(110.0) == "warn" and late.look(111.0) is None and late.next_look == 120.0
    assert late.look(121.0) == "warn" and late.next_look == 125.0
    assert late.look(125.0) == "give up" and late.waited(125.0) == 25.0
    late.see(False, 126.0)
    assert late.next_look is None and late.waited(126.0) == 0.0
    never = LateWatch(timeout_s=None, warn_every_s=10.0)
    never.see(True, 0.0)
    assert never.next_look == 10.0 and never.look(1e9) == "warn"
