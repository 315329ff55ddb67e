"""Questions to all processes, and what the node remembers: pure, and bounded."""

from __future__ import annotations

from skate.engine.local.node.history import NodeHistory
from skate.engine.local.node.reports import Reports


def test_a_question_is_answered_when_all_have_told() -> None:
    reports = Reports()
    reports.ask("token", "tasks", None, [3, 2], 10.0)
    assert reports.out == [("tell", 2, 1, "tasks", None), ("tell", 3, 1, "tasks", None)]
    reports.out.clear()
    reports.told(2, 1, b"two")
    assert reports.out == []
    reports.told(3, 1, b"three")
    assert reports.out == [("done", "token", "tasks", None, {2: b"two", 3: b"three"}, [])]


def test_who_leaves_or_is_late_is_not_waited_for() -> None:
    reports = Reports()
    reports.ask("a", "tasks", None, [2, 3], 10.0)
    reports.out.clear()
    reports.client_left(2)
    reports.tick(9.9)
    assert reports.out == [] and reports.next_deadline() == 10.0
    reports.tick(10.0)
    assert reports.out == [("done", "a", "tasks", None, {}, [3])]
    reports.told(3, 1, b"too late")
    assert len(reports.out) == 1 and reports.next_deadline() is None


def test_nobody_to_ask() -> None:
    reports = Reports()
    reports.ask("a", "nodes", None, [], 10.0)
    assert reports.out == [("done", "a", "nodes", None, {}, [])]


def test_a_stranger_to_the_question_is_not_heard() -> None:
    reports = Reports()
    reports.ask("a", "tasks", None, [2], 10.0)
    reports.told(5, 1, b"who?")
    reports.told(2, 99, b"which?")
    assert len(reports.out) == 1


def test_history_drops_the_oldest_reports() -> None:
    history = NodeHistory(calls=10)
    for number in range(5):
        history.keep(4, bytes([number]))
    assert [payload for _count, payload in history.reports] == [b"\x03", b"\x04"]
    off = NodeHistory(calls=0)
    off.keep(1, b"x")
    assert not off.reports


def test_history_remembers_where_an_actor_was() -> None:
    history = NodeHistory()
    history.actor_changed(1, {"state": "ALIVE", "worker": 7, "cause": ""}, 5.0)
    history.actor_changed(1, {"state": "DEAD", "worker": 0, "cause": "killed"}, 6.0)
    assert history.actors[1] == {
        "created": 5.0,
        "started": 5.0,
        "ended": 6.0,
        "state": "DEAD",
        "worker": 7,
        "cause": "killed",
    }
