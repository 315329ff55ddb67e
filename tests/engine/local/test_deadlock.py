"""The pure graph of waits: what is stuck for ever, and what only looks so."""

from __future__ import annotations

from typing import Any

from skate.engine.local.node.deadlock import Host, Wait, WaitGraph, explain

A, B = 1001, 1002


def key(number: int) -> int:
    """The key of a call."""
    return (7 << 64) | (number << 24)


def wait(task: int, *on: int, actor: int = 0, needed: int = 0, order: int = 0) -> Wait:
    """The call `task` waits for others; it runs in a process whose number is ten times its own."""
    keys = tuple(map(key, on))
    return Wait(
        task * 10,
        1,
        order or task,
        keys,
        needed or len(keys),
        key(task),
        actor,
        f"call{task}",
        task,
        "f.py:1",
    )


def graph(
    waits: list[Wait], facts: dict[int, Any], actors: dict[int, Host] | None = None, **more: Any
) -> WaitGraph:
    """A graph whose facts are given by the calls' numbers."""
    holders = more.get("holders", lambda _client, _lane, _stuck: set())
    return WaitGraph(waits, {key(number): fact for number, fact in facts.items()}, actors or {}, holders)


def stuck(*given: Any, **more: Any) -> list[int]:
    """The numbers of the calls that are stuck."""
    return [found.pid for found in graph(*given, **more).stuck()]


def test_who_waits_for_a_running_task_is_not_stuck() -> None:
    assert stuck([wait(1, 2)], {2: ("sent", "g", 20)}) == []


def test_what_nothing_is_known_of_may_come() -> None:
    assert stuck([wait(1, 2)], {}) == []


def test_a_chain_that_ends_in_a_running_task_is_not_stuck() -> None:
    assert stuck([wait(1, 2), wait(2, 3)], {2: ("sent", "g", 20), 3: ("sent", "h", 30)}) == []


def test_an_actor_that_calls_itself() -> None:
    facts = {2: ("actor", "A.inner", A, "")}
    one, two = {A: Host(True, 1, "A")}, {A: Host(True, 2, "A")}
    assert stuck([wait(1, 2, actor=A)], facts, one) == [1]
    assert stuck([wait(1, 2, actor=A)], facts, two) == []
    assert stuck([wait(1, 2, actor=A), wait(3, 2, actor=A)], facts, two) == [1, 3]


def test_an_actor_with_groups_is_not_judged() -> None:
    assert stuck([wait(1, 2, actor=A)], {2: ("actor", "A.inner", A, "")}, {A: Host(True, 0, "A")}) == []
    assert stuck([wait(1, 2, actor=A)], {2: ("actor", "A.inner", A, "io")}, {A: Host(True, 1, "A")}) == []


def test_two_actors_that_call_each_other() -> None:
    actors = {A: Host(True, 1, "A"), B: Host(True, 1, "B")}
    facts = {2: ("actor", "B.g", B, ""), 3: ("actor", "A.h", A, "")}
    found = graph([wait(1, 2, actor=A), wait(2, 3, actor=B)], facts, actors)
    assert len(found.stuck()) == 2
    assert {each.pid for each in found.circle()} == {1, 2}
    text = explain(found.circle(), {key(n): fact for n, fact in facts.items()})
    assert "call1 (pid 1) waits for B.g at f.py:1" in text and "call2 (pid 2) waits for A.h" in text


def test_who_waits_for_a_ring_is_stuck_and_no_part_of_it() -> None:
    actors = {A: Host(True, 1, "A")}
    waits = [wait(9, 1), wait(1, 2, actor=A)]
    found = graph(waits, {1: ("sent", "A.outer", 10), 2: ("actor", "A.inner", A, "")}, actors)
    assert [each.pid for each in found.stuck()] == [9, 1]
    assert [each.pid for each in found.circle()] == [1]


def test_a_resource_that_is_held_by_who_waits_for_it() -> None:
    facts = {2: ("lease", "inner", 5)}
    seen = []

    def holders(client: int, lane: int, of: set[int]) -> set[int]:
        seen.append((client, lane))
        return of & {10}

    assert stuck([wait(1, 2)], facts, holders=holders) == [1]
    assert seen[0] == (7, 5)
    assert stuck([wait(1, 2)], facts) == []


def test_an_actor_that_can_not_be_placed() -> None:
    facts = {2: ("actor", "A.f", A, "")}
    assert stuck(
        [wait(1, 2)],
        facts,
        {A: Host(False, 1, "A")},
        holders=lambda client, lane, of: of if client < 0 else set(),
    ) == [1]
    assert stuck([wait(1, 2)], facts, {A: Host(False, 1, "A")}) == []


def test_an_argument_that_never_comes() -> None:
    actors = {A: Host(True, 1, "A")}
    facts = {2: ("args", "after", [key(3)]), 3: ("actor", "A.inner", A, "")}
    assert stuck([wait(1, 2, actor=A)], facts, actors) == [1]


def test_who_needs_only_some_is_stuck_when_too_few_can_come() -> None:
    actors = {A: Host(True, 1, "A")}
    facts = {2: ("actor", "A.inner", A, ""), 3: ("sent", "g", 30)}
    assert stuck([wait(1, 2, 3, actor=A, needed=1)], facts, actors) == []
    assert stuck([wait(1, 2, 3, actor=A, needed=2)], facts, actors) == [1]


def test_a_constructor_that_calls_its_own_actor() -> None:
    waiting = wait(1, 2)._replace(task=A)
    assert stuck([waiting], {2: ("actor", "A.f", A, "")}, {A: Host(True, 1, "A")}) == [1]
