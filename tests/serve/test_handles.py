"""Deployments, handles and composition."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

import skate
from skate import serve
from skate.serve._private.common import ReplicaState, RequestMeta
from skate.serve._private.constants import DEFAULT_GRACEFUL_SHUTDOWN_TIMEOUT_S
from skate.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
    RequestCancelledError,
)
from skate.serve.handle import DeploymentHandle
from skate.serve.schema import LoggingConfig
from tests.serve.conftest import until


@serve.deployment
class Adder:
    def __init__(self, amount: int = 1) -> None:
        self.amount = amount

    def __call__(self, x: int) -> int:
        return x + self.amount

    async def slowly(self, x: int) -> int:
        await asyncio.sleep(0.05)
        return x + self.amount

    def count(self, n: int) -> Any:
        yield from range(n)

    async def acount(self, n: int) -> Any:
        for i in range(n):
            yield i

    def fail(self) -> None:
        raise KeyError("lost")

    async def forever(self) -> None:
        await asyncio.Event().wait()

    def pid(self) -> int:
        return os.getpid()

    def thread(self) -> str:
        return threading.current_thread().name

    def context(self) -> tuple[str, str, int]:
        context = serve.get_replica_context()
        return context.app_name, context.deployment, context.rank.rank


@pytest.fixture
def adder(instance: None) -> Any:
    return serve.run(Adder.options(num_replicas=1).bind(10), route_prefix=None)


def test_calls_methods_generators_and_errors(adder: Any) -> None:
    assert adder.remote(1).result() == 11
    assert adder.slowly.remote(1).result(timeout_s=10) == 11
    assert adder.options(method_name="slowly").remote(2).result() == 12
    assert list(adder.options(stream=True).count.remote(3)) == [0, 1, 2]
    assert list(adder.options(stream=True).acount.remote(3)) == [0, 1, 2]
    with pytest.raises(KeyError, match="lost"):
        adder.fail.remote().result()
    with pytest.raises(RayServeException, match="nope"):
        adder.nope.remote().result()
    with pytest.raises(TypeError, match="stream=True"):
        adder.count.remote(3).result()
    with pytest.raises(TypeError, match="generator"):
        next(adder.options(stream=True).slowly.remote(1))
    assert adder.context.remote().result() == ("default", "Adder", 0)


def test_plain_methods_run_side_by_side_in_threads(instance: None) -> None:
    @serve.deployment(max_ongoing_requests=3)
    class Meeting:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(3)

        def __call__(self) -> int:
            return self.barrier.wait(timeout=10)

    handle = serve.run(Meeting.bind(), route_prefix=None)
    responses = [handle.remote() for _ in range(3)]
    assert sorted(response.result() for response in responses) == [0, 1, 2]


def test_a_late_answer_times_out_and_can_be_cancelled(adder: Any) -> None:
    response = adder.forever.remote()
    with pytest.raises(TimeoutError):
        response.result(timeout_s=0.05)
    response.cancel()
    with pytest.raises(RequestCancelledError):
        response.result(timeout_s=10)
    assert response.cancelled()


def test_responses_are_arguments_and_refs(adder: Any) -> None:
    first = adder.slowly.remote(1)
    assert adder.remote(first).result() == 21
    assert adder.remote(x=first).result() == 21
    assert skate.get(adder.remote(1)._to_object_ref_sync()) == 11
    assert adder.remote(skate.put(5)).result() == 15
    with pytest.raises(KeyError):
        adder.remote(adder.fail.remote()).result()


def test_composition_and_handles_in_containers(instance: None) -> None:
    @serve.deployment
    class Sum:
        def __init__(self, parts: list[Any], named: dict[str, Any]) -> None:
            self.parts = [*parts, *named.values()]

        async def __call__(self, x: int) -> int:
            return sum(await asyncio.gather(*(part.remote(x) for part in self.parts)))

        def plain(self, x: int) -> int:
            return sum(part.remote(x).result() for part in self.parts)

    shared = Adder.bind(1)
    handle = serve.run(Sum.bind([shared, Adder.bind(2)], {"again": shared}), route_prefix=None)
    assert handle.remote(10).result() == 11 + 12 + 11
    assert handle.plain.remote(10).result() == 34
    assert set(serve.status().applications["default"].deployments) == {"Sum", "Adder", "Adder_1"}


def test_result_in_a_loop_is_refused(adder: Any) -> None:
    async def wrong() -> None:
        adder.remote(1).result()

    with pytest.raises(RuntimeError, match="asyncio"):
        asyncio.run(wrong())

    async def right() -> Any:
        items = [item async for item in adder.options(stream=True).acount.remote(2)]
        return await adder.remote(1), items

    assert asyncio.run(right()) == (11, [0, 1])


def test_handles_by_name_and_pickled(adder: Any) -> None:
    assert serve.get_app_handle("default").remote(1).result() == 11
    assert serve.get_deployment_handle("Adder", "default").remote(1).result() == 11

    @skate.remote
    def call(handle: DeploymentHandle[Any]) -> Any:
        return handle.slowly.remote(1).result()

    assert skate.get(call.remote(adder)) == 11
    with pytest.raises(RayServeException, match="does not exist"):
        serve.get_app_handle("other")
    with pytest.raises(KeyError):
        serve.get_deployment_handle("Other", "default")
    with pytest.raises(RayServeException, match="application name"):
        serve.get_deployment_handle("Adder")


def test_requests_beyond_the_limits_wait_or_are_refused(instance: None, tmp_path: Any) -> None:
    @serve.deployment(max_ongoing_requests=1, max_queued_requests=1)
    class Gate:
        async def __call__(self) -> str:
            while not (tmp_path / "open").exists():
                await asyncio.sleep(0.01)
            return "through"

    handle = serve.run(Gate.bind(), route_prefix=None)
    first = handle.remote()
    until(lambda: first._request.sent is not None)
    second = handle.remote()
    third = handle.remote()
    with pytest.raises(BackPressureError, match="num_queued_requests=1"):
        third.result(timeout_s=10)
    (tmp_path / "open").touch()
    assert first.result() == second.result() == "through"


def test_load_spreads_over_replicas(instance: None) -> None:
    handle = serve.run(Adder.options(num_replicas=3).bind(), route_prefix=None)
    pids = {response.result() for response in [handle.pid.remote() for _ in range(60)]}
    assert len(pids) == 3


def test_a_constructor_that_raises_is_told(instance: None) -> None:
    @serve.deployment
    class Bad:
        def __init__(self) -> None:
            raise ValueError("no model here")

    with pytest.raises(RuntimeError, match="no model here"):
        serve.run(Bad.bind(), name="bad", route_prefix="/bad")
    status = serve.status().applications["bad"]
    assert status.status == "DEPLOY_FAILED"
    assert "3 times in a row" in status.deployments["Bad"].message


def test_user_config_is_handed_over_without_a_new_replica(instance: None) -> None:
    @serve.deployment(user_config={"x": 1})
    class Configured:
        def reconfigure(self, config: dict[str, int]) -> None:
            self.x = config["x"]

        def __call__(self) -> tuple[int, int]:
            return self.x, os.getpid()

    handle = serve.run(Configured.bind(), route_prefix=None)
    assert handle.remote().result()[0] == 1


def test_an_update_loses_no_request(instance: None) -> None:
    @serve.deployment(num_replicas=2)
    class Versioned:
        def __init__(self, version: int) -> None:
            self.version = version

        async def __call__(self) -> int:
            await asyncio.sleep(0.01)
            return self.version

    handle = serve.run(Versioned.bind(1), route_prefix=None)
    seen: list[int] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                seen.append(handle.remote().result(timeout_s=20))
            except Exception as error:  # noqa: BLE001 -- what the test is about
                failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 20)
    serve.run(Versioned.bind(2), route_prefix=None)
    until(lambda: seen[-1] == 2)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert set(seen) == {1, 2}


def test_a_dead_replica_is_replaced(instance: None) -> None:
    handle = serve.run(Adder.bind(), route_prefix=None)
    pid = handle.pid.remote().result()
    os.kill(pid, 9)

    def answers() -> bool:
        try:
            return bool(handle.pid.remote().result(timeout_s=10) != pid)
        except skate.exceptions.RayActorError:
            return False

    until(answers)


def test_the_destructor_runs_and_running_requests_end_first(instance: None, tmp_path: Any) -> None:
    @serve.deployment
    class Careful:
        async def __call__(self) -> str:
            (tmp_path / "started").touch()
            await asyncio.sleep(0.3)
            return "done"

        def __del__(self) -> None:
            (tmp_path / "gone").touch()

    handle = serve.run(Careful.bind(), route_prefix=None)
    response = handle.remote()
    until((tmp_path / "started").exists)
    serve.delete("default")
    assert response.result(timeout_s=5) == "done"
    assert (tmp_path / "gone").exists()
    assert serve.status().applications == {}


def test_autoscaling_follows_the_load_up_and_down_to_zero(instance: None, tmp_path: Any) -> None:
    @serve.deployment(
        max_ongoing_requests=10,
        autoscaling_config={
            "min_replicas": 0,
            "max_replicas": 3,
            "target_ongoing_requests": 1,
            "upscale_delay_s": 0,
            "downscale_delay_s": 0.5,
            "look_back_period_s": 0.5,
            "metrics_interval_s": 0.1,
        },
    )
    class Waits:
        async def __call__(self) -> str:
            while not (tmp_path / "open").exists():
                await asyncio.sleep(0.02)
            return "done"

    def running() -> int:
        states = serve.status().applications["default"].deployments["Waits"].replica_states
        return int(states.get(ReplicaState.RUNNING, 0))

    handle = serve.run(Waits.bind(), route_prefix=None)
    assert running() == 0
    responses = [handle.remote() for _ in range(6)]
    until(lambda: running() == 3)
    (tmp_path / "open").touch()
    assert {response.result(timeout_s=45) for response in responses} == {"done"}
    until(lambda: running() == 0)


def test_local_testing_mode_needs_no_session() -> None:
    @serve.deployment
    class Twice:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, x: int) -> int:
            return 2 * int(await self.inner.remote(x))

    handle = serve.run(Twice.bind(Adder.bind(1)), _local_testing_mode=True)
    assert handle.remote(3).result() == 8
    assert list(serve.run(Adder.bind(), _local_testing_mode=True).options(stream=True).count.remote(2)) == [
        0,
        1,
    ]
    serve.shutdown()


def test_shutdown_is_quick_and_a_new_instance_starts(session: None) -> None:
    for _ in range(2):
        handle = serve.run(Adder.bind(5), route_prefix=None)
        assert handle.remote(1).result() == 6
        began = time.monotonic()
        serve.shutdown()
        assert (
            time.monotonic() - began < DEFAULT_GRACEFUL_SHUTDOWN_TIMEOUT_S / 2
        )  # no drain has waited for its time-out


def test_a_place_is_kept_on_a_replica_that_was_chosen(instance: None) -> None:
    @serve.deployment(num_replicas=2, max_ongoing_requests=1)
    class Named:
        def __call__(self, word: str) -> tuple[str, str]:
            return serve.get_replica_context().replica_id.unique_id, word

    serve.run(Named.bind(), name="named", route_prefix=None)
    serve.run(Adder.bind(1), name="other", route_prefix=None)
    handle = serve.get_app_handle("named")

    async def scenario() -> None:
        async with handle.choose_replica("a") as one, handle.choose_replica("b") as two:
            assert one.replica_id != two.replica_id  # each has room for one
            assert (one.node_ip, one.port, one.address) == ("127.0.0.1", None, "127.0.0.1")
            waits = handle.remote("c")
            assert await handle.dispatch(one, "a") == (one.replica_id, "a")
            assert (await waits)[1] == "c"
            with pytest.raises(RuntimeError, match="used already"):
                handle.dispatch(one, "a")
            with pytest.raises(ValueError, match="handle to Deployment.name='Named'"):
                serve.get_app_handle("other").dispatch(two, "b")
        assert {(await handle.remote(word))[1] for word in "defg"} == set(
            "defg"
        )  # the second place was given back

    asyncio.run(scenario())


def test_a_place_on_a_replica_that_is_gone_is_none(instance: None) -> None:
    @serve.deployment
    class Named:
        def __call__(self) -> int:
            return os.getpid()

    handle = serve.run(Named.bind(), route_prefix=None)
    pid = handle.remote().result()

    async def scenario() -> None:
        async with handle.choose_replica() as chosen:
            os.kill(pid, signal.SIGKILL)
            assert await handle.remote() != pid
            with pytest.raises(
                ReplicaUnavailableError, match=f"Replica {chosen.replica_id} is no longer available"
            ):
                await handle.dispatch(chosen)

    asyncio.run(scenario())


def test_what_is_deleted_is_unavailable_and_what_does_not_run_can_not_be_deleted(session: None) -> None:
    serve.start(proxy_location="Disabled")
    handle = serve.run(Adder.bind(1), route_prefix=None)
    assert handle.remote(1).result() == 2
    serve.delete("default")
    with pytest.raises(DeploymentUnavailableError, match="has been deleted"):
        handle.remote(1).result()
    with pytest.raises(RuntimeError, match="Streaming deployment handle results cannot be passed"):
        serve.run(Adder.bind(1), route_prefix=None)
        handle.remote(handle.options(stream=True).count.remote(2)).result()
    serve.shutdown()
    with pytest.raises(RayServeException, match="There is no Serve instance running"):
        serve.delete("default")


@pytest.mark.parametrize("level", ["debug", "LOUD", 15])
def test_a_level_that_logging_does_not_know_is_refused(level: Any) -> None:
    assert (LoggingConfig().encoding, LoggingConfig(log_level=10).log_level) == ("TEXT", "DEBUG")
    assert Adder.logging_config is None
    with pytest.raises(ValueError, match=f'Got "{level}" for log_level. log_level must be one of'):
        LoggingConfig(log_level=level)


def test_options_that_are_members_of_an_enum() -> None:
    class Name(str, Enum):  # noqa: UP042 - str() of a StrEnum's member is its value anyway
        METHOD = "count"
        MODEL = "a model"

    handle: DeploymentHandle[Any] = DeploymentHandle("D", "app")
    meta = handle.options(
        method_name=Name.METHOD, multiplexed_model_id=Name.MODEL, session_id=Name.MODEL
    )._meta
    said = (meta.method, meta.multiplexed_model_id, meta.session_id)
    assert said == ("count", "a model", "a model") and {type(each) for each in said} == {str}
    sent: list[Any] = []
    actor = SimpleNamespace(handle_request=SimpleNamespace(remote=sent.append))
    known = threading.Event()
    known.set()
    router: Any = SimpleNamespace(known=known, slots={0: SimpleNamespace(handle=actor)})
    DeploymentHandle("D", "app", _router=router).broadcast(Name.METHOD)
    assert RequestMeta.unpacked(sent[0]).method == "count"
