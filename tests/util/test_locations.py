"""`skate.experimental.get_object_locations`, and what programs ask an autoscaler for."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import skate as ray
from skate.autoscaler.sdk import request_resources
from skate.cluster_utils import Cluster
from skate.experimental import get_local_object_locations, get_object_locations


@pytest.fixture
def cluster(session: str) -> Iterator[Cluster]:
    """A simulated cluster of two nodes, instead of the module's session; on the local engine, which simulates them."""
    if session != "local":
        pytest.skip("one engine simulates machines")
    ray.shutdown()
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1, resources={"other": 1})
    ray.init(address=made.address)
    yield made
    ray.shutdown()
    made.shutdown()


@ray.remote(resources={"other": 0.1})
def large() -> bytes:
    return bytes(1_000_000)


@ray.remote(resources={"moon": 1})
def never() -> None:
    pass


def test_a_session_does_not_grow(session: str, caplog: pytest.LogCaptureFixture) -> None:
    assert session
    with caplog.at_level(logging.WARNING, "skate"):
        request_resources(num_cpus=1)
        assert not caplog.records
        request_resources(bundles=[{"CPU": 1000}, {"moon": 1}])
    assert "does not grow" in caplog.text and "moon" in caplog.text
    with pytest.raises(TypeError, match="a whole number"):
        request_resources(num_cpus=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one for each"):
        request_resources(bundles=[{"CPU": 1}], bundle_label_selectors=[])


def test_where_objects_lie(cluster: Cluster) -> None:
    assert cluster.address
    nodes = {node["NodeID"]: "other" in node["Resources"] for node in ray.nodes()}
    made, put, small, pending = large.remote(), ray.put(bytes(1_000_000)), ray.put(1), never.remote()
    ray.wait([made])
    found = get_object_locations([made, put, small, pending])
    assert [nodes[id] for id in found[made]["node_ids"]] == [True]
    assert [nodes[id] for id in found[put]["node_ids"]] == [False]
    assert [nodes[id] for id in found[small]["node_ids"]] == [False]
    assert 1_000_000 <= found[made]["object_size"] < 1_001_000
    assert not found[made]["did_spill"]
    assert found[pending] == {"node_ids": [], "object_size": None, "did_spill": False}
    ray.get(made)  # read here: this node has a copy now
    assert len(get_local_object_locations([made])[made]["node_ids"]) == 2
    with pytest.raises(TypeError, match="a list of ObjectRefs"):
        get_object_locations([1])
