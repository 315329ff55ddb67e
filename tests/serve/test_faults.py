"""Processes killed under load."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import skate
from skate import serve
from skate.exceptions import ActorDiedError
from skate.serve._private import client
from skate.serve._private.common import ReplicaState
from tests.serve.conftest import address, until


@serve.deployment(num_replicas=2)
class Echo:
    def __init__(self, version: int = 1) -> None:
        """Another version has other arguments."""

    async def __call__(self, request: Any) -> str:
        return "ok"

    def pid(self) -> int:
        return os.getpid()


def kill(actor: Any) -> None:
    pid = skate.get(actor.__ray_call__.remote(lambda _self: os.getpid()))
    os.kill(pid, signal.SIGKILL)


@contextmanager
def constant_load(handle: Any) -> Iterator[Counter[str]]:
    """Requests over HTTP, each on a new connection, and through a handle; what came of them is counted."""
    seen: Counter[str] = Counter()
    stop = threading.Event()
    base = address()

    def count(kind: str, call: Any) -> None:
        while not stop.is_set():
            try:
                seen[f"{kind} {call()}"] += 1
            except Exception as error:  # noqa: BLE001 -- what the tests are about
                seen[f"{kind} {type(error).__name__}"] += 1

    threads = [
        threading.Thread(target=count, args=("http", lambda: httpx.get(base, timeout=20).status_code)),
        threading.Thread(target=count, args=("handle", lambda: handle.remote(None).result(timeout_s=20))),
    ]
    for thread in threads:
        thread.start()
    try:
        until(lambda: seen["http 200"] > 3 and seen["handle ok"] > 3)
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def replica_pids() -> set[int | None]:
    details = skate.get(client.controller().instance_details.remote())
    return {replica.pid for replica in details.applications["default"].deployments["Echo"].replicas}


def all_run() -> bool:
    states = serve.status().applications["default"].deployments["Echo"].replica_states
    return states == {ReplicaState.RUNNING: 2}


def answers_go_on(seen: Counter[str]) -> None:
    before = Counter(seen)
    until(lambda: seen["http 200"] > before["http 200"] + 3 and seen["handle ok"] > before["handle ok"] + 3)


def test_the_controller_comes_back_with_what_it_knew(instance: None) -> None:
    handle = serve.run(Echo.bind())
    pids = replica_pids()
    assert len(pids) == 2
    with constant_load(handle) as seen:
        kill(client.controller())
        until(lambda: serve.status().applications["default"].status == "RUNNING")
        answers_go_on(seen)
        assert set(seen) == {"http 200", "handle ok"}
        assert replica_pids() == pids
        serve.run(Echo.options(num_replicas=1).bind())  # it still deploys
        answers_go_on(seen)
    assert set(seen) == {"http 200", "handle ok"}


def test_a_dead_proxy_is_replaced_on_its_port(instance: None) -> None:
    handle = serve.run(Echo.bind())
    base = address()
    kept = httpx.Client(base_url=base)
    assert kept.get("/").text == "ok"
    kill(skate.get_actor("SERVE_PROXY_ACTOR", namespace="serve"))
    assert kept.get("/").text == "ok"  # open connections are the replicas' own

    def answers() -> bool:
        try:
            return httpx.get(base).text == "ok"
        except httpx.ConnectError:
            return False

    until(answers)
    kept.close()
    assert handle.remote(None).result() == "ok"


def test_only_what_was_on_a_dead_replica_is_lost(instance: None) -> None:
    handle = serve.run(Echo.bind())
    with constant_load(handle) as seen:
        os.kill(handle.pid.remote().result(), signal.SIGKILL)
        until(all_run)
        answers_go_on(seen)
    lost = sum(count for kind, count in seen.items() if kind not in ("http 200", "handle ok"))
    assert lost <= 2  # each client has one request under way


def test_a_rolling_update_drops_no_request(instance: None) -> None:
    handle = serve.run(Echo.bind())
    first = replica_pids()
    with constant_load(handle) as seen:
        for version in (2, 3):
            serve.run(Echo.bind(version))
            answers_go_on(seen)
        serve.run(Echo.options(num_replicas=1).bind(3))
        answers_go_on(seen)
    assert set(seen) == {"http 200", "handle ok"}
    assert not first & replica_pids()


@serve.deployment(name="Echo", num_replicas=2, max_constructor_retry_count=2)
class FailsToStart:
    def __init__(self) -> None:
        raise ValueError("boom")


@serve.deployment(name="Echo", num_replicas=2, max_constructor_retry_count=2)
class IllFromTheStart:
    def check_health(self) -> None:
        raise ValueError("boom")


@pytest.mark.parametrize("broken", [FailsToStart, IllFromTheStart])
def test_an_update_that_can_not_run_is_rolled_back_without_a_lost_request(
    instance: None, broken: Any
) -> None:
    handle = serve.run(Echo.bind())
    with constant_load(handle) as seen:
        with pytest.raises(RuntimeError, match="boom"):
            serve.run(broken.bind())
        until(all_run)
        answers_go_on(seen)
        assert serve.status().applications["default"].status == "DEPLOY_FAILED"
        assert "serves on" in serve.status().applications["default"].deployments["Echo"].message
        serve.run(Echo.bind(2))
        answers_go_on(seen)
    assert set(seen) == {"http 200", "handle ok"}
    assert serve.status().applications["default"].status == "RUNNING"


@serve.deployment(num_replicas=2, max_ongoing_requests=20)
class Held:
    """Holds every request until a file is there."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    async def __call__(self, number: int) -> tuple[int, int]:
        self.begin(number)
        while not (self.folder / "open").exists():
            await asyncio.sleep(0.01)
        return os.getpid(), number

    async def count(self, number: int) -> AsyncIterator[tuple[int, int]]:
        self.begin(number)
        for item in range(2):
            yield os.getpid(), item

    def begin(self, number: int) -> None:
        (self.folder / f"begun-{number}-{os.getpid()}").touch()

    def pid(self) -> int:
        return os.getpid()


def both_pids(handle: Any) -> list[int]:
    return sorted(until(lambda: len(found := set(handle.broadcast("pid").results())) == 2 and found))


def test_what_a_dead_replica_had_not_begun_is_made_on_another(instance: None, tmp_path: Path) -> None:
    handle = serve.run(Held.bind(str(tmp_path)), route_prefix=None)
    frozen, other = both_pids(handle)
    os.kill(frozen, signal.SIGSTOP)
    try:
        responses = [handle.remote(number) for number in range(6)]  # the shorter queue: three each
        until(lambda: len(list(tmp_path.iterdir())) == 3)
        streams = [handle.options(method_name="count", stream=True).remote(number) for number in (6, 7)]
    finally:
        os.kill(frozen, signal.SIGKILL)
    assert [list(stream) for stream in streams] == [[(other, 0), (other, 1)]] * 2
    (tmp_path / "open").touch()
    answers = [response.result(timeout_s=45) for response in responses]
    assert [number for _, number in answers] == list(range(6))
    begun = [path.name.split("-")[1] for path in tmp_path.glob("begun-*")]
    assert sorted(begun) == [str(number) for number in range(8)]  # each once


def test_a_call_that_a_dead_replica_had_begun_fails(instance: None, tmp_path: Path) -> None:
    handle = serve.run(Held.options(num_replicas=1).bind(str(tmp_path)), route_prefix=None)
    pid = handle.pid.remote().result()
    response = handle.remote(1)
    until(lambda: list(tmp_path.glob("begun-*")))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ActorDiedError):
        response.result(timeout_s=45)
    assert len(list(tmp_path.glob("begun-*"))) == 1


def test_the_death_of_what_a_replica_calls_is_not_its_own(instance: None, tmp_path: Path) -> None:
    @serve.deployment
    class Outer:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, number: int) -> Any:
            return await self.inner.remote(number)

        def pid(self) -> int:
            return os.getpid()

    inner = Held.options(num_replicas=1).bind(str(tmp_path))
    handle = serve.run(Outer.bind(inner), route_prefix=None)
    pid = handle.pid.remote().result()
    response = handle.remote(1)
    until(lambda: list(tmp_path.glob("begun-*")))
    os.kill(serve.get_deployment_handle("Held", "default").pid.remote().result(), signal.SIGKILL)
    with pytest.raises(ActorDiedError):
        response.result(timeout_s=45)
    assert handle.pid.remote().result(timeout_s=45) == pid
    (tmp_path / "open").touch()
    assert handle.remote(2).result(timeout_s=45)[1] == 2
    assert handle.pid.remote().result() == pid
