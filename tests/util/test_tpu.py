"""Slices of TPUs, on nodes that are simulated: what a slice consists of, who has it, and tasks on its hosts."""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

import skate as ray
from skate.cluster_utils import Cluster
from skate.experimental.internal_kv import _internal_kv_list
from skate.util import tpu
from skate.util.annotations import RayDeprecationWarning
from tests.leaks import guard
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("given", "version"),
    [("TPU-V6E", "v6e"), ("v5p", "v5p"), ("tpu7x", "v7x"), ("TPU-v5litepod", "v5litepod")],
)
def test_generations(given: str, version: str) -> None:
    assert tpu.get_tpu_version_from_type(given) == version


def test_a_generation_that_is_none() -> None:
    with pytest.raises(ValueError, match="Invalid accelerator_type: v99"):
        tpu.get_tpu_version_from_type("v99")


@pytest.mark.parametrize(
    ("arguments", "workers", "resources"),
    [
        (("4x4", "TPU-V6E"), 4, {"CPU": 1, "TPU": 4}),
        (("2x2x2", "v4"), 2, {"CPU": 1, "TPU": 4}),
        (("2x4", "v6e"), 1, {"CPU": 1, "TPU": 8}),
        (("2x4", "v6e", None, 1, 4), 2, {"CPU": 1, "TPU": 4}),
        (("4x4", "v6e", {"TPU": 1, "CPU": 3}), 16, {"CPU": 3, "TPU": 1}),
        (("2x2x4", "TPU-V7X", {"TPU": 2}, 2), 16, {"CPU": 1, "TPU": 2}),
        (("4x4", "v6e", None, 1, None, 2), 4, {"CPU": 1, "TPU": 8}),
    ],
)
def test_workers_that_fill_slices(arguments: Any, workers: int, resources: dict[str, float]) -> None:
    assert tpu.get_tpu_worker_resources(*arguments) == (workers, resources)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("4x4", "v6e", {"TPU": 3}), "not divisible by TPUs requested per worker"),
        (("4x4", "v6e", {"TPU": 32}, 2), "uneven distribution"),
        (("4x4", "v6e", {"TPU": 0}), "TPU resources must be positive"),
        (("4x4", "v6e", None, 1, 0), "chips_per_vm must be positive"),
        (("4x4", "v6e", None, 1, None, 0), "`tpu_resource_per_chip` must be a positive integer"),
    ],
)
def test_workers_that_do_not(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tpu.get_tpu_worker_resources(*arguments)


def test_slices_for_workers() -> None:
    assert tpu.get_tpu_num_slices_for_workers("4x4", "v6e", 5) == 2
    assert tpu.get_tpu_num_slices_for_workers("4x4", "v6e", 17, {"TPU": 1}) == 2
    assert tpu.get_tpu_num_slices_for_workers("4x4", "bad", 5) == 1
    assert tpu.get_tpu_num_slices_for_workers("", "v6e", 5) == 1


def test_units_of_a_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TPU_RESOURCE_PER_CHIP", "2")
    assert tpu.get_tpu_worker_resources("2x2x1", "v7x") == (1, {"CPU": 1, "TPU": 8})
    monkeypatch.setenv("RAY_TPU_RESOURCE_PER_CHIP", "none")
    with pytest.raises(ValueError, match="RAY_TPU_RESOURCE_PER_CHIP"):
        tpu.get_tpu_resource_per_chip()


def test_variables_of_a_coordinator() -> None:
    assert tpu.get_tpu_coordinator_env_vars("host", 2, 1) == {
        "MEGASCALE_COORDINATOR_ADDRESS": "host",
        "MEGASCALE_PORT": "8081",
        "MEGASCALE_NUM_SLICES": "2",
        "MEGASCALE_SLICE_ID": "1",
    }


def test_without_a_session_there_are_no_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    assert tpu.get_num_tpu_slices("4x4", "v6e") == tpu.get_num_ready_tpu_slices("4x4", "v6e") == 0
    assert tpu.get_tpu_nodes_for_slice("east") == []


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """None of the folder's sessions: slices need several nodes."""
    ray.shutdown()
    with guard.window():
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def slices(session: None) -> Iterator[Cluster]:
    """Two slices, east and west, of two hosts each; the labels of west's hosts come from their variables."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for name in ("east", "west"):
        for number in ("0", "1"):
            variables = {"TPU_NAME": name}
            facts = {"TPU_WORKER_ID": number, "TPU_TOPOLOGY": "2x2x2", "TPU_ACCELERATOR_TYPE": "v4-16"}
            labels = {
                "ray.io/tpu-slice-name": name,
                "ray.io/tpu-worker-id": number,
                "ray.io/tpu-pod-type": "v4-16",
            }
            cluster.add_node(
                num_cpus=1,
                resources={"TPU": 4, **({"TPU-v4-16-head": 1} if number == "0" else {})},
                labels=labels if name == "east" else None,
                env_vars={**variables, **(facts if name == "west" else {})},
            )
    ray.init(address=cluster.address)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def free(slices: Cluster) -> None:
    """All of both slices is given back."""
    wait_until(lambda: tpu.get_num_ready_tpu_slices("2x2x2", "v4") == 2)


@ray.remote
def where(first: int, second: int = 0) -> tuple[str, str | None, int]:
    return ray.get_runtime_context().get_node_id(), tpu.get_current_pod_name(), first + second


@pytest.mark.usefixtures("free")
def test_slices_are_seen() -> None:
    assert tpu.get_num_tpu_slices("2x2x2", "TPU-V4") == 2
    assert tpu.get_num_tpu_slices("2x2x1", "TPU-V4") == 0
    assert tpu.get_num_tpu_slices("2x2x2", "TPU-V4", tpu_resource_per_chip=2) == 0
    nodes = tpu.get_tpu_nodes_for_slice("west")
    assert {node["Labels"]["ray.io/tpu-worker-id"] for node in nodes} == {"0", "1"}
    assert {node["Labels"].get("ray.io/tpu-topology") for node in nodes} == {"2x2x2"}
    assert {tpu.get_tpu_slice_name_from_node(node) for node in ray.nodes()} == {"east", "west", None}


@pytest.mark.usefixtures("free")
def test_a_slice_that_is_not_whole_is_none(slices: Cluster) -> None:
    lone = {"ray.io/tpu-slice-name": "south", "ray.io/tpu-worker-id": "0", "ray.io/tpu-pod-type": "v4-16"}
    node = slices.add_node(num_cpus=0, resources={"TPU": 4}, labels=lone)
    assert len(tpu.get_tpu_nodes_for_slice("south")) == 1
    assert tpu.get_num_tpu_slices("2x2x2", "v4") == 2
    slices.remove_node(node)


@pytest.mark.usefixtures("free")
def test_a_slice_is_held_by_one() -> None:
    held = tpu.slice_placement_group("2x2x2", "v4", name="one")
    assert held.placement_group is not None
    assert held.placement_group.wait(30)
    assert (held.num_hosts, held.num_bundles, held.chips_per_host, held.devices_per_host) == (2, 2, 4, 4)
    assert (held.topology, held.accelerator_version, held.num_slices) == ("2x2x2", "v4", 1)
    assert (held.bundle_resources, held.tpu_resource_per_chip) == ({"CPU": 1, "TPU": 4}, 1)
    [name] = {labels["ray.io/tpu-slice-name"] for labels in held.bundle_label_selector}
    assert tpu.get_num_ready_tpu_slices("2x2x2", "v4") == 1
    rows = ray.get(tpu.run_on_slice(where, 1, second=2, tpu_slice=held))
    assert {row[0] for row in rows} == {node["NodeID"] for node in tpu.get_tpu_nodes_for_slice(name)}
    assert {row[1:] for row in rows} == {(name, 3)}
    with pytest.raises(ValueError, match="pg_per_slice=False, use `slice_placement_group`"):
        _ = held.slice_placement_groups
    with pytest.raises(ValueError, match="Invalid slice_index: 1"):
        held.release_head_pgs(1)
    held.release_head_pgs(0)
    assert held.head_placement_groups == []
    held.shutdown()
    held.shutdown()
    assert held.placement_group is None
    with pytest.raises(ValueError, match="already been shut down"):
        tpu.run_on_slice(where, 1, tpu_slice=held)


@pytest.mark.usefixtures("free")
def test_two_slices_with_a_group_each_and_none_left() -> None:
    held = tpu.SlicePlacementGroup("2x2x2", "v4", num_slices=2, pg_per_slice=True, name="two")
    assert all(group.wait(30) for group in held.slice_placement_groups)
    assert (held.num_hosts, held.num_bundles, len(held.head_placement_groups)) == (4, 4, 2)
    assert ray.util.get_placement_group("two_slice_1") == held.slice_placement_groups[1]
    assert len(ray.get(tpu.run_on_slice(where, 1, tpu_slice=held))) == 4
    assert len({row[1] for row in ray.get(tpu.run_on_slice(where, 1, tpu_slice=held, slice_index=1))}) == 1
    with pytest.raises(ValueError, match="Invalid slice_index 2"):
        tpu.run_on_slice(where, 1, tpu_slice=held, slice_index=2)
    with pytest.raises(ValueError, match="pg_per_slice=True, use `slice_placement_groups`"):
        _ = held.slice_placement_group
    groups = len(ray.util.placement_group_table())
    with pytest.raises(TimeoutError, match="Failed to reserve TPU head for slice with shape: v4-16"):
        tpu.run_on_slice(where, 1, topology="2x2x2", accelerator_version="v4", head_reservation_timeout_s=0.1)
    rows = list(ray.util.placement_group_table().values())[groups:]
    assert [row["state"] for row in rows] == [
        "REMOVED"
    ]  # what was asked for in vain is not asked for any more
    held.shutdown()


@pytest.mark.usefixtures("free")
def test_a_slice_that_is_named_and_one_of_its_own() -> None:
    labels = [{"ray.io/tpu-slice-name": "west"}, {}]
    named = tpu.slice_placement_group("2x2x2", "v4", bundle_label_selector=labels)
    assert named.head_placement_groups == []
    assert {labels["ray.io/tpu-slice-name"] for labels in named.bundle_label_selector} == {"west"}
    with pytest.warns(RayDeprecationWarning, match="run_on_slice"):
        refs = tpu.dispatch(where, 1, tpu_slice=named, pg_ready_timeout_s=30)
    assert {row[1] for row in ray.get(refs)} == {"west"}
    second = tpu.slice_placement_group("2x2x2", "v4", bundle_label_selector=labels)
    with pytest.raises(TimeoutError, match=r"not ready within 0\.1s"):
        tpu.run_on_slice(where, 1, tpu_slice=second, pg_ready_timeout_s=0.1)
    second.shutdown()
    named.shutdown()


def _held_claims() -> list[Any]:
    return [row for row in ray.util.placement_group_table().values() if row["state"] != "REMOVED"]


@pytest.mark.usefixtures("free")
def test_a_call_that_fails_gives_its_slice_back() -> None:
    with pytest.raises(TypeError, match="missing a required argument"):
        tpu.run_on_slice(where, topology="2x2x2", accelerator_version="v4", pg_ready_timeout_s=30)
    assert _held_claims() == []


@pytest.mark.usefixtures("free")
def test_a_claim_that_is_broken_off_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tpu.reserve_tpu_slice("2x2x2", "TPU-V4")
    assert _held_claims() == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"topology": "3x4", "accelerator_version": "v6e"},
            ValueError,
            "Invalid accelerator topology: '3x4'",
        ),
        ({"topology": "4x4", "accelerator_version": "v4"}, ValueError, "Invalid accelerator topology"),
        ({"topology": "2x4", "accelerator_version": "v6e", "strategy": "X"}, ValueError, "strategy"),
        ({"topology": "4x4", "accelerator_version": "v6e", "foo": 1}, TypeError, "foo"),
        (
            {"topology": "4x4", "accelerator_version": "v6e", "bundle_label_selector": [{}]},
            ValueError,
            r"length \(1\) must match the number of bundles \(4\)",
        ),
    ],
)
@pytest.mark.usefixtures("slices")
def test_slices_that_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tpu.slice_placement_group(**arguments)


def test_run_on_slice_refuses() -> None:
    with pytest.raises(TypeError, match=r"@ray.remote-decorated function, but got 'function'"):
        tpu.run_on_slice(test_generations, 1)
    with pytest.raises(ValueError, match="topology and accelerator_version are required"):
        tpu.run_on_slice(where, 1, topology="4x4")
    with pytest.raises(ValueError, match="slice_index can only be used when an existing tpu_slice"):
        tpu.run_on_slice(where, 1, topology="4x4", accelerator_version="v6e", slice_index=0)


@pytest.mark.usefixtures("slices")
def test_the_profiler_of_jax(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    ports: list[int] = []
    jax = types.SimpleNamespace(profiler=types.SimpleNamespace(start_server=ports.append))
    monkeypatch.setitem(sys.modules, "jax", jax)
    tpu.init_jax_profiler(4711)
    assert ports == [4711]
    assert any(
        key.endswith(f":{os.getpid()}".encode())
        for key in _internal_kv_list(b"jax_profiler_port:", namespace=b"dashboard")
    )
    monkeypatch.setenv("JAX_PROFILER_PORT", "none")
    tpu.init_jax_profiler()
    assert "Failed to start JAX profiler server" in caplog.text
    monkeypatch.setitem(sys.modules, "jax", None)
    tpu.init_jax_profiler()
    assert "JAX is not installed" in caplog.text
