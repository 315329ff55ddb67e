"""Simulated clusters: nodes with resources, labels and workers of their own, and what becomes of work when one dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import skate as ray
from skate.cluster_utils import Cluster, Node
from skate.util.placement_group import placement_group, placement_group_table, remove_placement_group
from skate.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 30.0


class Three:
    """A head with one CPU and two nodes with two each, in zones a and b."""

    def __init__(self) -> None:
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 1}})
        self.a = self.cluster.add_node(num_cpus=2, resources={"a": 2}, labels={"zone": "a", "fast": "yes"})
        self.b = self.cluster.add_node(num_cpus=2, num_gpus=1, resources={"b": 2}, labels={"zone": "b"})
        ray.init(address=self.cluster.address)
        assert self.cluster.head_node is not None
        self.names = {self.cluster.head_node.node_id: "head", self.a.node_id: "a", self.b.node_id: "b"}


@pytest.fixture
def three() -> Iterator[Three]:
    made = Three()
    yield made
    made.cluster.shutdown()
    assert not ray.is_initialized()


@ray.remote(max_retries=0)
def where() -> str:
    return ray.get_runtime_context().get_node_id()


@ray.remote
def flag() -> Any:
    """Something to wait for."""


@ray.remote(num_cpus=0)
class Gate:
    """Holds whoever waits, until it is opened."""

    def __init__(self) -> None:
        import asyncio

        self.event = asyncio.Event()
        self.count = 0

    async def wait(self) -> None:
        self.count += 1
        await self.event.wait()

    async def waiting(self) -> int:
        return self.count

    async def open(self) -> None:
        self.event.set()


@ray.remote
def hold(gate: Any) -> str:
    ray.get(gate.wait.remote())
    return ray.get_runtime_context().get_node_id()


@ray.remote
class Member:
    """An actor that tells where it is."""

    def where(self) -> str:
        return ray.get_runtime_context().get_node_id()

    def hold(self, gate: Any) -> None:
        ray.get(gate.wait.remote())


def _get(ref: Any) -> Any:
    return ray.get(ref, timeout=_PATIENCE)


def _arrived(gate: Any, count: int = 1) -> None:
    wait_until(lambda: ray.get(gate.waiting.remote()) >= count, _PATIENCE, f"{count} to wait at the gate")


def test_nodes_show_with_their_own_resources_and_labels(three: Three) -> None:
    shown = {three.names[node["NodeID"]]: node for node in ray.nodes()}
    assert {name: node["Alive"] for name, node in shown.items()} == {"head": True, "a": True, "b": True}
    assert shown["a"]["Resources"]["CPU"] == 2
    assert "GPU" not in shown["a"]["Resources"]
    assert shown["b"]["Labels"] == {"ray.io/node-id": three.b.node_id, "zone": "b"}
    total = ray.cluster_resources()
    assert (total["CPU"], total["GPU"], total["a"], total["node:127.0.0.1"]) == (5, 1, 2, 3)
    assert three.cluster.list_all_nodes()[0] is three.cluster.head_node
    three.cluster.wait_for_nodes()


def test_a_custom_resource_leads_to_its_node(three: Three) -> None:
    for name in ("head", "a", "b"):
        assert three.names[_get(where.options(resources={name: 1}).remote())] == name
    gpu = where.options(num_gpus=1)
    assert three.names[_get(gpu.remote())] == "b"


def test_a_worker_knows_the_labels_of_its_node(three: Three) -> None:
    labels = ray.remote(lambda: ray.get_runtime_context().get_node_labels())
    assert _get(labels.options(resources={"a": 1}).remote())["zone"] == "a"


def test_node_affinity(three: Three) -> None:
    to_b = NodeAffinitySchedulingStrategy(three.b.node_id, soft=False)
    assert three.names[_get(where.options(scheduling_strategy=to_b).remote())] == "b"
    member = Member.options(scheduling_strategy=to_b).remote()
    assert three.names[_get(member.where.remote())] == "b"


def test_hard_affinity_to_no_node_fails_and_soft_goes_elsewhere(three: Three) -> None:
    nobody = NodeAffinitySchedulingStrategy("ab" * 28, soft=False)
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="there is no node abab"):
        _get(where.options(scheduling_strategy=nobody).remote())
    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="there is no node abab"):
        _get(Member.options(scheduling_strategy=nobody).remote().where.remote())
    soft = NodeAffinitySchedulingStrategy("ab" * 28, soft=True)
    assert _get(where.options(scheduling_strategy=soft).remote()) in three.names


def test_affinity_to_a_node_that_can_never_have_it(three: Three) -> None:
    hard = NodeAffinitySchedulingStrategy(three.b.node_id, soft=False)
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="can never have"):
        _get(where.options(resources={"a": 1}, scheduling_strategy=hard).remote())
    soft = NodeAffinitySchedulingStrategy(three.b.node_id, soft=True)
    assert three.names[_get(where.options(resources={"a": 1}, scheduling_strategy=soft).remote())] == "a"


def test_affinity_to_a_node_that_is_busy(three: Three) -> None:
    gate = Gate.remote()
    id = three.b.node_id
    busy = hold.options(num_cpus=0, resources={"b": 2}).remote(gate)
    _arrived(gate)
    want = where.options(num_cpus=0, resources={"b": 1})
    fails = NodeAffinitySchedulingStrategy(id, soft=False, _fail_on_unavailable=True)
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="has no room now"):
        _get(want.options(scheduling_strategy=fails).remote())
    spills = NodeAffinitySchedulingStrategy(id, soft=True, _spill_on_unavailable=True)
    elsewhere = where.options(num_gpus=0, num_cpus=2, scheduling_strategy=spills)
    first = hold.options(
        num_cpus=2, scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False)
    ).remote(gate)
    assert three.names[_get(elsewhere.remote())] in ("a", "b")
    waits = want.options(scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=True)).remote()
    assert ray.wait([waits], timeout=0.2)[0] == []
    ray.get(gate.open.remote())
    assert three.names[_get(waits)] == "b"
    assert _get(busy) == id
    assert _get(first) == id


@pytest.mark.parametrize(
    ("hard", "soft", "goes_to"),
    [
        ({"zone": In("b")}, None, {"b"}),
        ({"zone": In("a", "b")}, {"zone": In("a")}, {"a"}),
        ({"zone": NotIn("a", "b")}, None, {"head"}),
        ({"fast": Exists()}, None, {"a"}),
        ({"zone": DoesNotExist()}, None, {"head"}),
        ({"zone": Exists()}, {"zone": In("c")}, {"a", "b"}),
        ({}, {"zone": In("c")}, {"head", "a", "b"}),
    ],
)
def test_node_labels(three: Three, hard: Any, soft: Any, goes_to: set[str]) -> None:
    strategy = NodeLabelSchedulingStrategy(hard, soft=soft)
    assert three.names[_get(where.options(scheduling_strategy=strategy).remote())] in goes_to
    member = Member.options(scheduling_strategy=strategy).remote()
    assert three.names[_get(member.where.remote())] in goes_to


def test_label_selectors_and_what_to_fall_back_to(three: Three) -> None:
    choose = where.options(label_selector={"zone": "in(b, c)"})
    assert three.names[_get(choose.remote())] == "b"
    other = where.options(
        label_selector={"zone": "c"}, fallback_strategy=[{"label_selector": {"fast": "yes"}}]
    )
    assert three.names[_get(other.remote())] == "a"
    waits = where.options(label_selector={"zone": "c"}).remote()
    assert ray.wait([waits], timeout=0.2)[0] == []
    late = three.cluster.add_node(num_cpus=1, labels={"zone": "c"})
    assert _get(waits) == late.node_id


def test_spread_goes_round(three: Three) -> None:
    # Each node has a worker that is ready: otherwise those that are take what the others would have had.
    _get(
        [
            where.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, False)).remote()
            for node in three.names
        ]
    )
    spread = where.options(scheduling_strategy="SPREAD")
    found = [three.names[node] for node in _get([spread.remote() for _ in range(9)])]
    assert set(found) == {"head", "a", "b"}
    assert max(map(found.count, found)) <= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"node_id": "zz", "soft": False}, "valid hex string"),
        ({"node_id": "ab" * 28, "soft": False, "_spill_on_unavailable": True}, "soft is False"),
    ],
)
def test_bad_affinities(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NodeAffinitySchedulingStrategy(**arguments)


@pytest.mark.parametrize(
    ("hard", "message"), [({}, "cannot both be empty"), ({"a": 1}, "must be one of"), (3, "must be a map")]
)
def test_bad_label_strategies(hard: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NodeLabelSchedulingStrategy(hard)


def test_strict_spread_takes_distinct_nodes(three: Three) -> None:
    group = placement_group([{"CPU": 1}] * 3, strategy="STRICT_SPREAD")
    assert group.wait(_PATIENCE)
    assert set(placement_group_table(group)["bundles_to_node_id"].values()) == set(three.names)
    for index, id in placement_group_table(group)["bundles_to_node_id"].items():
        inside = where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, index))
        assert _get(inside.remote()) == id
    remove_placement_group(group)


def test_strict_pack_stays_on_one_node_and_prefers_its_target(three: Three) -> None:
    group = placement_group([{"CPU": 1}] * 2, strategy="STRICT_PACK", _soft_target_node_id=three.b.node_id)
    assert group.wait(_PATIENCE)
    assert set(placement_group_table(group)["bundles_to_node_id"].values()) == {three.b.node_id}


def test_bundles_follow_their_selectors(three: Three) -> None:
    group = placement_group([{"CPU": 1}] * 2, bundle_label_selector=[{"zone": "b"}, {"zone": "a"}])
    assert group.wait(_PATIENCE)
    assert placement_group_table(group)["bundles_to_node_id"] == {0: three.b.node_id, 1: three.a.node_id}


def test_a_group_is_placed_anew_when_its_node_dies(three: Three) -> None:
    group = placement_group([{"CPU": 2}] * 2, strategy="STRICT_SPREAD")
    assert group.wait(_PATIENCE)
    member = Member.options(
        num_cpus=1, max_restarts=1, scheduling_strategy=PlacementGroupSchedulingStrategy(group)
    ).remote()
    home = next(node for node in (three.a, three.b) if node.node_id == _get(member.where.remote()))
    three.cluster.remove_node(home)
    row = placement_group_table(group)
    assert row["state"] == "RESCHEDULING"
    assert sum(node == "" for node in row["bundles_to_node_id"].values()) == 1
    new = three.cluster.add_node(num_cpus=2)
    assert group.wait(_PATIENCE)
    assert new.node_id in placement_group_table(group)["bundles_to_node_id"].values()
    wait_until(lambda: _where_now(member) not in ("", home.node_id), _PATIENCE, "the actor to restart")


def test_a_task_is_run_again_elsewhere(three: Three) -> None:
    gate = Gate.options(resources={"head": 0.1}).remote()
    to_a = NodeAffinitySchedulingStrategy(three.a.node_id, soft=True)
    ref = hold.options(scheduling_strategy=to_a).remote(gate)
    _arrived(gate)
    three.cluster.remove_node(three.a)
    _arrived(gate, 2)
    ray.get(gate.open.remote())
    assert _get(ref) != three.a.node_id


def test_a_task_without_retries_ends_with_its_node(three: Three) -> None:
    gate = Gate.options(resources={"head": 0.1}).remote()
    ref = hold.options(max_retries=0, resources={"a": 1}).remote(gate)
    _arrived(gate)
    three.cluster.remove_node(three.a)
    with pytest.raises(ray.exceptions.NodeDiedError, match=three.a.node_id):
        _get(ref)


def test_an_actor_restarts_elsewhere(three: Three) -> None:
    to_a = NodeAffinitySchedulingStrategy(three.a.node_id, soft=True)
    member = Member.options(max_restarts=1, scheduling_strategy=to_a).remote()
    assert three.names[_get(member.where.remote())] == "a"
    three.cluster.remove_node(three.a)
    wait_until(lambda: _where_now(member) not in ("", three.a.node_id), _PATIENCE, "the actor to restart")


def _where_now(member: Any) -> str:
    try:
        return str(_get(member.where.remote()))
    except ray.exceptions.ActorUnavailableError:
        return ""


def test_an_actor_without_restarts_ends_with_its_node(three: Three) -> None:
    gate = Gate.options(resources={"head": 0.1}).remote()
    member = Member.options(resources={"a": 1}).remote()
    held = member.hold.remote(gate)
    _arrived(gate)
    three.cluster.remove_node(three.a)
    with pytest.raises(ray.exceptions.ActorDiedError, match="has died"):
        _get(held)
    with pytest.raises(ray.exceptions.ActorDiedError, match="has died"):
        _get(member.where.remote())


def test_a_dead_node_shows_as_dead(three: Three) -> None:
    three.cluster.remove_node(three.a)
    (dead,) = [node for node in ray.nodes() if not node["Alive"]]
    assert dead["NodeID"] == three.a.node_id
    assert dead["Resources"] == {}
    assert ray.cluster_resources()["CPU"] == 3
    hard = NodeAffinitySchedulingStrategy(three.a.node_id, soft=False)
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        _get(where.options(scheduling_strategy=hard).remote())
    three.cluster.wait_for_nodes()


def test_a_cluster_can_be_joined_again(three: Three) -> None:
    ray.shutdown()
    assert not three.cluster.connected
    ray.init(address="auto")
    assert {three.names[node["NodeID"]] for node in ray.nodes()} == {"head", "a", "b"}


def test_connecting_at_once() -> None:
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 1})
    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 1
    cluster.shutdown()
    assert not ray.is_initialized()


def test_what_a_cluster_refuses(three: Three) -> None:
    cluster = three.cluster
    assert cluster.head_node is not None
    with pytest.raises(ValueError, match="not allowed because it will break the driver"):
        cluster.remove_node(cluster.head_node)
    with pytest.raises(ValueError, match="is no node of this cluster"):
        cluster.remove_node(Node("", False, {}, {}, {}))
    with pytest.raises(TypeError, match="unknown argument 'cpus'"):
        cluster.add_node(cpus=1)
    with pytest.raises(TypeError, match="names and values of variables are strings"):
        cluster.add_node(env_vars={"ZONE": 1})  # type: ignore[dict-item]
    for name, text in (("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0")):
        with pytest.raises(ValueError, match="can't be set: a variable's name is not empty and has no '='"):
            cluster.add_node(env_vars={"ZONE": "a", name: text})
    assert len(cluster.list_all_nodes()) == 3
    with pytest.raises(ValueError, match="CPU=-1"):
        cluster.add_node(num_cpus=-1)
    with pytest.raises(RuntimeError, match="uninitialized"):
        Cluster(connect=True)
    ray.shutdown()
    with pytest.raises(ValueError, match="num_cpus"):
        ray.init(address=cluster.address, num_cpus=2)
    with pytest.raises(ConnectionError):
        ray.init(address="10.0.0.1:6379")


def test_bundles_on_nodes_that_share_a_label(three: Three) -> None:
    both = placement_group([{"CPU": 1}] * 2, topology_strategy={"zone": "STRICT_PACK"})
    assert both.wait(_PATIENCE)
    [place] = set(placement_group_table(both)["bundles_to_node_id"].values())
    assert three.names[place] in "ab"  # the head has no zone
    more = placement_group([{"CPU": 1}] * 3, topology_strategy={"zone": "STRICT_PACK"})
    assert placement_group_table(more)["stats"]["scheduling_state"] == "INFEASIBLE"
    three.cluster.add_node(num_cpus=1, labels={"zone": "b" if three.names[place] == "a" else "a"})
    assert more.wait(_PATIENCE)
    assert place not in placement_group_table(more)["bundles_to_node_id"].values()
    for topology, strategy, message in (
        ({"zone": "PACK"}, None, "only 'STRICT_PACK' is supported"),
        ({"ray.io/node-id": "X"}, None, "Invalid topology strategy 'X'"),
        ({"ray.io/node-id": "PACK"}, "PACK", "cannot both be specified"),
        ({1: "PACK"}, None, "non-empty strings, got 1"),
        ("zone", None, "must be a dict, got str"),
    ):
        with pytest.raises(ValueError, match=message):
            placement_group([{"CPU": 1}], strategy, topology_strategy=topology)  # type: ignore[arg-type]
