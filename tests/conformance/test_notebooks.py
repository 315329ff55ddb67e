"""Notebooks: functions and classes of cells, defined again in later cells."""

from __future__ import annotations

from pathlib import Path

from .helpers import run_cells

_FIRST = """
    def scale(x):
        return 2 * x

    class Point:
        def __init__(self, x):
            self.x = scale(x)

        def shown(self):
            return f"first {self.x}"

    @ray.remote
    def make(x):
        return Point(x)

    @ray.remote(num_cpus=0)
    class Keeper:
        def __init__(self, point):
            self.point = point

        def show(self):
            return "keeps " + self.point.shown()
"""
_USE = """
    made = ray.get(make.remote(5), timeout=30)
    keeper = Keeper.remote(made)
    print(made.shown(), isinstance(made, Point), ray.get(keeper.show.remote(), timeout=30))
"""


def test_what_a_later_cell_defines_again_is_what_later_calls_use(engine: str, tmp_path: Path) -> None:
    again = _FIRST.replace("2 * x", "3 * x").replace("first", "second").replace('"keeps "', '"has "')
    old = """
        old_keeper, OldPoint = keeper, Point
    """
    check = """
        print("old", ray.get(old_keeper.show.remote(), timeout=30), isinstance(made, OldPoint))
    """
    said = run_cells(engine, tmp_path, _FIRST, _USE, old, again, _USE, check)
    assert "first 10 True keeps first 10" in said
    assert "second 15 True has second 15" in said
    assert "old keeps first 10 False" in said
