from __future__ import annotations

from skate.train._run.group import Member, rank_members


def test_hosts_come_in_their_order_and_gpus_within_them() -> None:
    placed = [Member("a", "h2", [1]), Member("b", "h1", []), Member("c", "h2", [0]), Member("d", "h1", [])]
    ranked = rank_members(placed)
    assert [member.actor for member in ranked] == ["c", "a", "b", "d"]
    assert [member.local_rank for member in ranked] == [0, 1, 0, 1]
    assert [member.node_rank for member in ranked] == [0, 0, 1, 1]
    assert {member.local_world_size for member in ranked} == {2}
