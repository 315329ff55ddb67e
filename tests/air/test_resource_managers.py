"""Resources that are asked for, acquired and given back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import skate
from skate.air.execution import (
    FixedResourceManager,
    PlacementGroupResourceManager,
    ResourceManager,
    ResourceRequest,
)
from skate.util import placement_group_table
from tests.leaks import guard
from tests.support import wait_until


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    with guard.window():
        skate.init(num_cpus=4)
        yield
        skate.shutdown()


@skate.remote
def held() -> Any:
    return skate.get_runtime_context().get_assigned_resources().get("CPU", 0)


@pytest.fixture(params=["fixed", "groups"])
def manager(request: pytest.FixtureRequest) -> Iterator[ResourceManager]:
    made: ResourceManager = (
        FixedResourceManager() if request.param == "fixed" else PlacementGroupResourceManager(0)
    )
    yield made
    made.clear()
    wait_until(
        lambda: all(group["state"] == "REMOVED" for group in placement_group_table().values()),
        timeout=20,
        what="the groups' removal",
    )


def ready(manager: ResourceManager, request: ResourceRequest) -> None:
    wait_until(lambda: manager.has_resources_ready(request), timeout=20, what="the resources")


def test_what_is_held_is_not_there_for_others(manager: ResourceManager) -> None:
    large, small = ResourceRequest([{"CPU": 3}]), ResourceRequest([{"CPU": 2}])
    assert not manager.has_resources_ready(large) and manager.acquire_resources(large) is None
    manager.request_resources(large)
    ready(manager, large)
    first = manager.acquire_resources(large)
    assert first is not None and first.resource_request == large
    assert manager.acquire_resources(large) is None  # it was asked for once
    manager.request_resources(small)
    assert not manager.has_resources_ready(small)
    manager.free_resources(first)
    ready(manager, small)
    manager.cancel_resource_request(small)
    assert not manager.has_resources_ready(small)


def test_functions_run_with_what_is_held(manager: ResourceManager) -> None:
    request = ResourceRequest([{"CPU": 1}, {"CPU": 2}])
    manager.request_resources(request)
    ready(manager, request)
    acquired = manager.acquire_resources(request)
    assert acquired is not None
    annotated = acquired.annotate_remote_entities([held, held])
    assert skate.get([each.remote() for each in annotated], timeout=50) == [1, 2]
    with pytest.raises(RuntimeError, match="larger than the number of bundles"):
        acquired.annotate_remote_entities([held] * 3)


def test_an_empty_head_holds_nothing(manager: ResourceManager) -> None:
    request = ResourceRequest([{}, {"CPU": 2}])
    manager.request_resources(request)
    ready(manager, request)
    acquired = manager.acquire_resources(request)
    assert acquired is not None
    annotated = acquired.annotate_remote_entities([held, held])
    assert skate.get([each.remote() for each in annotated], timeout=50) == [0, 2]


def test_refs_of_groups_that_are_not_ready() -> None:
    manager = PlacementGroupResourceManager(0)
    request = ResourceRequest([{"CPU": 1}])
    manager.request_resources(request)
    skate.get(manager.get_resource_futures(), timeout=50)
    assert manager.has_resources_ready(request) and manager.get_resource_futures() == []
    manager.clear()
    assert FixedResourceManager().get_resource_futures() == []
