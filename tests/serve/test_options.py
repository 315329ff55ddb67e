"""Where replicas run, actors that they share, gangs, and traces."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import skate
from skate import serve
from skate.serve._private import tracing
from skate.serve.config import DeploymentActorConfig, GangSchedulingConfig
from skate.serve.exceptions import RayServeException
from skate.util.placement_group import get_current_placement_group, placement_group_table
from skate.util.state import list_actors
from tests.leaks import guard
from tests.serve.conftest import address, until


def test_a_replica_runs_in_a_placement_group_of_its_own(instance: None) -> None:
    @serve.deployment(
        num_replicas=2,
        placement_group_bundles=[{"CPU": 1}, {"CPU": 1}],
        placement_group_strategy="STRICT_PACK",
    )
    class Grouped:
        def __call__(self) -> Any:
            group = get_current_placement_group()
            assert group is not None
            return group.id.hex(), group.bundle_specs

    handle = serve.run(Grouped.bind(), route_prefix=None)
    found = {handle.remote().result()[0] for _ in range(30)}
    assert len(found) == 2
    assert handle.remote().result()[1] == [{"CPU": 1}, {"CPU": 1}]
    serve.delete("default")
    until(lambda: {placement_group_table()[key]["state"] for key in found} == {"REMOVED"})


def test_a_placement_group_goes_with_a_version_that_had_one(instance: None) -> None:
    def group() -> str | None:
        found = get_current_placement_group()
        return None if found is None else found.id.hex()

    made = serve.deployment(group)
    handle = serve.run(made.options(placement_group_bundles=[{"CPU": 1}]).bind(), route_prefix=None)
    name = handle.remote().result()
    assert name is not None
    handle = serve.run(made.bind(), route_prefix=None)
    until(lambda: handle.remote().result() is None)
    until(lambda: placement_group_table()[name]["state"] == "REMOVED")


def test_a_machine_has_at_most_so_many_replicas(instance: None) -> None:
    @serve.deployment(num_replicas=2, max_replicas_per_node=1, ray_actor_options={"num_cpus": 0})
    def nothing() -> int:
        return 1

    handle = serve.run_many(
        [serve.RunTarget(nothing.bind(), route_prefix=None)], wait_for_applications_running=False
    )[0]
    assert handle.remote().result() == 1
    deployment = serve.status().applications["default"].deployments["nothing"]
    assert deployment.replica_states == {"RUNNING": 1, "STARTING": 1}


@skate.remote
class Counter:
    def __init__(self, start: int) -> None:
        self.count = start
        self.context = serve.get_deployment_actor_context()

    def add(self) -> tuple[int, str, str]:
        self.count += 1
        return self.count, self.context.actor_name, self.context.deployment


def test_replicas_share_an_actor_which_ends_with_them(instance: None) -> None:
    @serve.deployment(
        num_replicas=2,
        deployment_actors=[DeploymentActorConfig(name="counter", actor_class=Counter, init_args=(10,))],
    )
    class Counted:
        def __init__(self) -> None:
            self.counter = serve.get_deployment_actor("counter")

        async def __call__(self) -> Any:
            return await self.counter.add.remote()

    handle = serve.run(Counted.bind(), route_prefix=None)
    answers = [handle.remote().result() for _ in range(4)]
    assert sorted(answer[0] for answer in answers) == [11, 12, 13, 14]
    assert answers[0][1:] == ("counter", "Counted")
    serve.delete("default")
    until(
        lambda: (
            not [a for a in list_actors() if "SERVE_DEPLOYMENT_ACTOR" in a["name"] and a["state"] == "ALIVE"]
        )
    )
    with pytest.raises(RayServeException, match="within a deployment"):
        serve.get_deployment_actor("counter")
    with pytest.raises(RayServeException, match="within a deployment actor"):
        serve.get_deployment_actor_context()


@serve.deployment
class Member:
    def __call__(self) -> Any:
        context = serve.get_replica_context()
        gang = context.gang_context
        assert gang.member_replica_ids[gang.rank] == context.replica_tag
        return gang.gang_id, gang.rank, gang.world_size, os.getpid()


def members(handle: Any) -> dict[tuple[str, int], int]:
    return {(gang, rank): pid for gang, rank, _, pid in (handle.remote().result() for _ in range(60))}


def test_a_gang_starts_and_ends_together(instance: None) -> None:
    app = Member.options(num_replicas=4, gang_scheduling_config=GangSchedulingConfig(gang_size=2)).bind()
    handle = serve.run(app, route_prefix=None)
    before = members(handle)
    gangs = sorted({gang for gang, _ in before})
    assert sorted(before) == [(gang, rank) for gang in gangs for rank in (0, 1)]
    assert len(gangs) == 2
    os.kill(before[gangs[0], 1], 9)

    def restarted() -> Any:
        try:
            found = members(handle)
        except skate.exceptions.RayActorError:
            return None  # one that was on its way to the dead replica
        return found if len(found) == 4 and gangs[0] not in {gang for gang, _ in found} else None

    after = until(restarted)
    assert {key: pid for key, pid in after.items() if key[0] == gangs[1]} == {
        key: pid for key, pid in before.items() if key[0] == gangs[1]
    }


def to_file() -> list[Any]:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    out = open(f"{os.environ['SPANS']}.{os.getpid()}", "a")  # noqa: SIM115 -- it lives as long as the process
    return [
        SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=lambda span: f"{span.to_json(None)}\n"))
    ]


def needs_a_word(word: str) -> list[Any]:
    return []


def needs_nothing() -> str:
    return "no list"


@pytest.mark.parametrize(
    ("name", "words"), [("needs_a_word", "cannot take any arguments"), ("needs_nothing", "List")]
)
def test_a_wrong_exporter_is_named(name: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        tracing._processors(f"tests.serve.test_options:{name}", "here")


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SPANS", str(tmp_path / "spans"))
    skate.shutdown()
    with guard.window():
        skate.init(num_cpus=4)
        serve.start(
            http_options={"port": 0},
            tracing_config={"enabled": True, "exporter_import_path": "tests.serve.test_options:to_file"},
        )
        yield tmp_path
        serve.shutdown()
        skate.shutdown()


def test_a_request_is_traced_from_replica_to_replica(traced: Path) -> None:
    @serve.deployment
    class Inner:
        def __call__(self) -> Any:
            return serve.get_trace_context()

    @serve.deployment
    class Outer:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, request: Any) -> Any:
            return await self.inner.remote()

    serve.run(Outer.bind(Inner.bind()))
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = httpx.get(address(), headers=headers).json()
    assert answer["traceparent"].split("-")[1] == trace
    spans = until(
        lambda: (
            found
            if len(
                found := {
                    span["name"]: span
                    for path in traced.glob("spans.*")
                    for span in map(json.loads, path.read_text().splitlines())
                }
            )
            >= 4
            else None
        )
    )
    assert set(spans) == {
        "proxy_http_request GET /",
        "replica_handle_request Outer __call__",
        "route_to_replica Inner __call__",
        "replica_handle_request Inner __call__",
    }
    assert {span["context"]["trace_id"] for span in spans.values()} == {f"0x{trace}"}
    parent = {name: span["parent_id"] for name, span in spans.items()}
    own = {name: span["context"]["span_id"] for name, span in spans.items()}
    assert parent["proxy_http_request GET /"] == "0xb7ad6b7169203331"
    assert parent["replica_handle_request Outer __call__"] == own["proxy_http_request GET /"]
    assert parent["replica_handle_request Inner __call__"] == own["route_to_replica Inner __call__"]
