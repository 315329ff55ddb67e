"""What can never go on says so, rather than hang."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import skate
from skate.exceptions import (
    ActorUnschedulableError,
    GetTimeoutError,
    RaySystemError,
    TaskUnschedulableError,
)


@skate.remote(num_cpus=0)
class Never:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def come(self) -> None:
        await self.event.wait()


@pytest.mark.usefixtures("session")
def test_a_deadlock_names_who_waits_for_what() -> None:
    never = Never.remote()

    @skate.remote
    def stuck_task() -> None:
        skate.get(never.come.remote())

    with pytest.raises(RaySystemError, match=r"(?s)Deadlock.*stuck_task.*Never\.come"):
        skate.get(stuck_task.remote())


@pytest.mark.usefixtures("session")
def test_the_session_goes_on_after_a_deadlock() -> None:
    never = Never.remote()
    with pytest.raises(RaySystemError, match="Deadlock"):
        skate.get(never.come.remote())

    @skate.remote
    def one() -> int:
        return 1

    assert skate.get(one.remote()) == 1


@pytest.mark.usefixtures("session")
def test_an_actor_that_waits_for_itself_is_a_deadlock() -> None:
    @skate.remote
    class Selfish:
        def outer(self, me: Any) -> Any:
            return skate.get(me.inner.remote())

        def inner(self) -> int:
            return 1

    selfish = Selfish.remote()
    with pytest.raises(RaySystemError, match=r"Selfish\.outer waits for Selfish\.inner"):
        skate.get(selfish.outer.remote(selfish))


@pytest.mark.usefixtures("session")
def test_with_a_timeout_it_is_a_timeout() -> None:
    never = Never.remote()
    with pytest.raises(GetTimeoutError):
        skate.get(never.come.remote(), timeout=0.05)


@pytest.mark.usefixtures("session")
def test_infeasible_demands_name_demand_and_capacity() -> None:
    @skate.remote(num_cpus=5)
    def wide() -> None:
        pass

    @skate.remote(resources={"seat": 1})
    class Sits:
        def ping(self) -> None:
            pass

    with pytest.raises(TaskUnschedulableError, match=r"wide.*CPU 5 \(the session has 2\)"):
        skate.get(wide.remote())
    with pytest.raises(ActorUnschedulableError, match=r"Sits.*seat 1 \(the session has 0\)"):
        skate.get(Sits.remote().ping.remote())


def test_resources_that_are_held_are_waited_for(start: Callable[..., Any]) -> None:
    start(resources={"seat": 1})

    @skate.remote(resources={"seat": 1})
    class Sits:
        def ping(self) -> str:
            return "pong"

    first, second = Sits.remote(), Sits.remote()
    assert skate.get(first.ping.remote()) == "pong"
    waiting = second.ping.remote()
    assert "seat" not in skate.available_resources()
    with pytest.raises(RaySystemError, match="wait for resources that others hold"):
        skate.get(waiting)
    skate.kill(first)
    assert skate.get(waiting) == "pong"


@pytest.mark.usefixtures("session")
def test_an_idle_thread_of_a_pool_is_no_hope() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with pytest.raises(RaySystemError, match="Deadlock"):
            skate.get(Never.remote().come.remote())
