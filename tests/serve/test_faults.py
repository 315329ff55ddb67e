"""Processes killed under load."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import skate
from skate import serve
from skate.serve._private import client
from skate.serve._private.common import ReplicaState
from tests.serve.conftest import address, until


@serve.deployment(num_replicas=2)
class Echo:
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
