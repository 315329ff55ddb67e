from __future__ import annotations

from skate.train._run.scaling import GrowthWatch, fitting


def test_as_many_as_fit() -> None:
    assert fitting(1, 8, {"CPU": 2, "GPU": 0}, {"CPU": 7}) == 3
    assert fitting(4, 8, {"CPU": 2}, {"CPU": 7}) == 4, "the least number, even if it does not fit"
    assert fitting(1, 2, {"CPU": 1}, {"CPU": 7}) == 2
    assert fitting(0, 3, {}, {}) == 3, "workers that hold nothing always fit"
    assert fitting(0, 3, {"CPU": 0.1}, {"CPU": 0.3}) == 3, "in spite of binary fractions"


def test_it_grows_at_a_checkpoint_or_when_none_comes() -> None:
    watch = GrowthWatch(60, now=0)
    assert watch.next_look == 60 and not watch.at_next_checkpoint
    assert not watch.look(0, 60) and not watch.at_next_checkpoint
    assert not watch.look(1, 120) and watch.at_next_checkpoint
    assert watch.look(1, 180), "no checkpoint came"


def test_room_that_is_gone_again_is_forgotten() -> None:
    watch = GrowthWatch(60, now=0)
    watch.look(1, 60)
    assert not watch.look(0, 120) and not watch.at_next_checkpoint
    assert not watch.look(1, 180)
