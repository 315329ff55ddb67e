"""Looking for news before sleeping: it stops where it does not pay."""

from __future__ import annotations

from skate.engine.local.client.spin import Spin

NEWS = [(3, 1)]


class World:
    """A clock that every look moves on, and a poll that finds news from a moment on."""

    def __init__(self, news_at: float) -> None:
        self.time = 0.0
        self.looks = 0
        self.news_at = news_at

    def now(self) -> float:
        return self.time

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        assert timeout == 0
        self.looks += 1
        self.time += 10e-6
        return NEWS if self.time >= self.news_at else []


def test_news_that_come_soon_are_found_without_sleeping() -> None:
    world = World(news_at=50e-6)
    assert Spin(lambda: True, world.now).look(world.poll) == NEWS
    assert world.looks == 5


def test_it_looks_for_a_moment_only() -> None:
    world = World(news_at=1.0)
    assert Spin(lambda: True, world.now).look(world.poll) == []
    assert world.time < 200e-6


def test_looks_in_vain_become_rare() -> None:
    world = World(news_at=float("inf"))
    spin = Spin(lambda: True, world.now)
    for _ in range(10_000):
        spin.look(world.poll)
    assert world.time < 10_000 * 1e-6  # under a us a wait


def test_one_that_pays_brings_them_back() -> None:
    world = World(news_at=float("inf"))
    spin = Spin(lambda: True, world.now)
    for _ in range(1000):
        spin.look(world.poll)
    world.news_at = 0.0
    found = [spin.look(world.poll) for _ in range(300)]
    assert NEWS in found  # within the longest rest
    first = found.index(NEWS)
    assert found[first:] == [NEWS] * (300 - first)


def test_nobody_looks_while_several_answers_are_to_come() -> None:
    world = World(news_at=0.0)
    assert Spin(lambda: False, world.now).look(world.poll) == []
    assert world.looks == 0
