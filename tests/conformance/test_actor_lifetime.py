"""Actors: how they end, and how they come back."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import Gate, Plain, Tally, get, is_dead, wait_until
from .support import kills_its_process, needs_processes

# Constructor


def test_a_constructor_error_is_an_actor_died_error_on_every_call() -> None:
    @ray.remote
    class Broken:
        def __init__(self) -> None:
            raise ValueError("never born")

        def hello(self) -> str:
            return "hello"

    broken = Broken.remote()
    for _ in range(2):
        with pytest.raises(ray.exceptions.ActorDiedError, match="never born") as caught:
            get(broken.hello.remote())
        assert isinstance(caught.value, ray.exceptions.RayActorError)


def test_a_constructor_error_names_the_class_and_the_exception() -> None:
    @ray.remote
    class Broken:
        def __init__(self) -> None:
            raise KeyError("the key")

        def hello(self) -> str:
            return "hello"

    with pytest.raises(ray.exceptions.ActorDiedError) as caught:
        get(Broken.remote().hello.remote())
    assert "Broken.__init__" in str(caught.value) and "KeyError" in str(caught.value)


def test_a_failed_constructor_argument_ends_the_actor() -> None:
    @ray.remote
    def fail() -> None:
        raise ValueError("bad argument")

    class Takes:
        def __init__(self, _: Any) -> None:
            pass

        def hello(self) -> str:
            return "hello"

    with pytest.raises(ray.exceptions.RayError, match="bad argument"):
        get(ray.remote(Takes).remote(fail.remote()).hello.remote())


def test_a_failed_method_argument_fails_that_call_only() -> None:
    @ray.remote
    def fail() -> None:
        raise ValueError("bad argument")

    @ray.remote
    class Takes:
        def take(self, x: Any) -> Any:
            return x

    takes = Takes.remote()
    with pytest.raises(ValueError, match="bad argument"):
        get(takes.take.remote(fail.remote()))
    assert get(takes.take.remote(1)) == 1


# The end


@needs_processes
def test_the_actor_ends_when_the_last_handle_is_gone() -> None:
    actor = Plain.remote()
    pid = get(actor.pid.remote())
    assert _alive(pid)
    del actor
    gc.collect()
    wait_until(lambda: not _alive(pid), "the actor's process to end")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return not Path("/proc/self/stat").exists() or _state(pid) != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_calls_made_before_the_last_handle_went_are_done() -> None:
    gate = Gate.remote()
    actor = Plain.remote()
    refs = [actor.hold.remote(gate), actor.add.remote()]
    del actor
    gc.collect()
    gate.open.remote()
    assert get(refs) == ["held", 1]


def test_a_temporary_handle_is_enough_for_its_call() -> None:
    assert get(Plain.remote().add.remote()) == 1


def test_an_actor_lives_while_another_process_has_its_handle() -> None:
    gate = Gate.remote()

    @ray.remote
    def use(box: list[Any]) -> list[int]:
        ray.get(gate.wait.remote())
        return [ray.get(box[0].add.remote()) for _ in range(2)]

    actor = Plain.remote()
    ref = use.remote([actor])
    get(gate.arrived.remote())
    del actor
    gc.collect()
    gate.open.remote()
    assert get(ref) == [1, 2]


def test_an_actor_lives_while_an_object_holds_its_handle() -> None:
    box = ray.put([Plain.remote()])
    gc.collect()
    [actor] = get(box)
    assert get(actor.add.remote()) == 1


def test_kill_ends_the_actor() -> None:
    actor = Plain.remote()
    assert get(actor.add.remote()) == 1
    ray.kill(actor)
    wait_until(lambda: is_dead(actor), "the actor to die")


def test_calls_after_kill_are_actor_died_errors() -> None:
    actor = Plain.remote()
    get(actor.add.remote())
    ray.kill(actor)
    wait_until(lambda: is_dead(actor), "the actor to die")
    with pytest.raises(ray.exceptions.ActorDiedError, match="(?i)kill") as caught:
        get(actor.add.remote())
    assert isinstance(caught.value, ray.exceptions.RayActorError)
    assert "Plain" in str(caught.value)


def test_kill_fails_the_calls_that_wait() -> None:
    gate = Gate.remote()
    actor = Plain.remote()
    running, queued = actor.hold.remote(gate), actor.add.remote()
    get(gate.arrived.remote())
    ray.kill(actor)
    for ref in (running, queued):
        with pytest.raises(ray.exceptions.RayActorError):
            get(ref)
    gate.open.remote()


def test_kill_twice_is_allowed() -> None:
    actor = Plain.remote()
    get(actor.add.remote())
    ray.kill(actor)
    ray.kill(actor)
    wait_until(lambda: is_dead(actor), "the actor to die")


def test_results_from_before_the_kill_remain() -> None:
    actor = Plain.remote()
    ref = actor.add.remote()
    assert get(ref) == 1
    ray.kill(actor)
    assert get(ref) == 1


def test_kill_of_something_else_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="actor"):
        ray.kill(ray.put(1))


def test_exit_actor_ends_it_after_the_call() -> None:
    actor = Plain.remote()
    assert get(actor.add.remote()) == 1
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.leave.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.add.remote())


def test_exit_actor_does_not_count_as_a_crash(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.options(max_restarts=3).remote(born)
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.leave.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.add.remote())
    assert born.count == 1


def test_exit_actor_in_an_asyncio_actor() -> None:
    @ray.remote
    class Async:
        async def leave(self) -> None:
            ray.actor.exit_actor()

        async def ping(self) -> str:
            return "pong"

    actor = Async.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.leave.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.ping.remote())


def test_exit_actor_in_a_constructor() -> None:
    @ray.remote
    class Unwilling:
        def __init__(self) -> None:
            ray.actor.exit_actor()

        def ping(self) -> str:
            return "pong"

    with pytest.raises(ray.exceptions.ActorDiedError, match=r"exit_actor\(\) is called") as died:
        get(Unwilling.remote().ping.remote())
    assert not died.value.actor_init_failed


def test_exit_actor_outside_an_actor_is_an_error() -> None:
    with pytest.raises(TypeError, match="actor"):
        ray.actor.exit_actor()


def test_terminate_lets_the_earlier_calls_finish() -> None:
    gate = Gate.remote()
    actor = Plain.remote()
    running, queued = actor.hold.remote(gate), actor.add.remote()
    actor.__ray_terminate__.remote()
    gate.open.remote()
    assert get([running, queued]) == ["held", 1]
    wait_until(lambda: is_dead(actor), "the actor to end")


@kills_its_process
def test_sys_exit_ends_the_actor() -> None:
    @ray.remote
    class Leaves:
        def leave(self) -> None:
            sys.exit(0)

        def ping(self) -> str:
            return "pong"

    leaves = Leaves.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(leaves.leave.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(leaves.ping.remote())


@kills_its_process
def test_a_crashed_actor_is_an_actor_died_error_with_a_cause() -> None:
    actor = Plain.remote()
    with pytest.raises(ray.exceptions.ActorDiedError) as caught:
        get(actor.crash.remote())
    text = str(caught.value)
    assert "Plain" in text and "exit" in text.lower()
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.add.remote())


@kills_its_process
def test_a_crash_fails_the_queued_calls() -> None:
    gate = Gate.remote()

    @ray.remote
    class Crashes:
        def crash(self, gate: Any) -> None:
            ray.get(gate.wait.remote())
            os._exit(1)

        def ping(self) -> str:
            return "pong"

    actor = Crashes.remote()
    refs = [actor.crash.remote(gate), actor.ping.remote(), actor.ping.remote()]
    gate.open.remote()
    for ref in refs:
        with pytest.raises(ray.exceptions.RayActorError):
            get(ref)


# Errors that carry facts


def test_an_actor_died_error_knows_its_actor() -> None:
    actor = Plain.remote()
    get(actor.add.remote())
    ray.kill(actor)
    wait_until(lambda: is_dead(actor), "the actor to die")
    with pytest.raises(ray.exceptions.ActorDiedError) as caught:
        get(actor.add.remote())
    assert caught.value.actor_id == actor._actor_id.hex()


# Pending calls


def test_max_pending_calls_limits_what_a_handle_may_queue() -> None:
    gate = Gate.remote()
    actor = Plain.options(max_pending_calls=2).remote()
    refs = [actor.hold.remote(gate)]
    get(gate.arrived.remote())
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded, match="more than 2 tasks are queued"):
        for _ in range(5):
            refs.append(actor.add.remote())
    gate.open.remote()
    get(refs)
    assert get(actor.add.remote()) >= 1


def test_there_is_no_limit_on_pending_calls_by_default() -> None:
    gate = Gate.remote()
    actor = Plain.remote()
    refs = [actor.hold.remote(gate)] + [actor.add.remote() for _ in range(300)]
    gate.open.remote()
    assert get(refs[-1]) == 300
