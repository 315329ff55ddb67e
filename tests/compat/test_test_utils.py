"""What test suites written for Ray share."""

from __future__ import annotations

import asyncio
import collections
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate._private import test_utils
from skate.cluster_utils import Cluster
from skate.util.placement_group import PlacementGroup


@pytest.fixture
def session() -> Iterator[None]:
    with skate.init(num_cpus=2):
        yield


@skate.remote
def _after(signal: Any, value: int) -> int:
    skate.get(signal.wait.remote())
    return value


def test_a_signal_lets_tasks_go(session: None) -> None:
    signal: Any = test_utils.SignalActor.remote()
    refs = [_after.remote(signal, value) for value in range(2)]
    test_utils.wait_for_condition(lambda: skate.get(signal.cur_num_waiters.remote()) == 2)
    assert skate.wait(refs, timeout=0) == ([], refs)
    skate.get(signal.send.remote())
    assert skate.get(refs) == [0, 1]
    skate.get(signal.wait.remote())
    skate.get(signal.wait.remote(should_wait=False))


def test_a_semaphore_has_so_much_room(session: None) -> None:
    semaphore: Any = test_utils.Semaphore.remote(value=1)
    skate.get(semaphore.acquire.remote())
    second = semaphore.acquire.remote()
    assert skate.get(semaphore.locked.remote())
    assert skate.wait([second], timeout=0)[0] == []
    skate.get(semaphore.release.remote())
    skate.get(second)


def test_conditions_are_asked_for_again_until_they_hold() -> None:
    answers = iter([0, None, 1])
    test_utils.wait_for_condition(lambda: bool(next(answers)), retry_interval_ms=1)
    with pytest.raises(RuntimeError, match="condition wasn't met before the timeout expired.$"):
        test_utils.wait_for_condition(lambda: False, timeout=0.01, retry_interval_ms=1)
    with pytest.raises(RuntimeError, match="(?s)Last exception: .*ZeroDivisionError"):
        test_utils.wait_for_condition(lambda: bool(1 / 0), timeout=0.01, retry_interval_ms=1)
    with pytest.raises(ZeroDivisionError):
        test_utils.wait_for_condition(lambda: bool(1 / 0), raise_exceptions=True)


def test_conditions_of_coroutines() -> None:
    async def holds(answers: Iterator[int]) -> bool:
        return bool(next(answers))

    asyncio.run(test_utils.async_wait_for_condition(holds, retry_interval_ms=1, answers=iter([0, 1])))
    with pytest.raises(RuntimeError, match="wasn't met"):
        asyncio.run(test_utils.async_wait_for_condition(lambda: False, timeout=0.01, retry_interval_ms=1))


def test_assertions_are_made_again_until_they_hold() -> None:
    answers = iter([0, 0, 1])

    def check() -> None:
        assert next(answers)

    test_utils.wait_for_assertion(check, retry_interval_ms=1)
    with pytest.raises(RuntimeError, match="wasn't met"):
        test_utils.wait_for_assertion(lambda: 1 / 0, timeout=0.01, retry_interval_ms=1)


def test_calls_are_made_again_until_they_succeed() -> None:
    again = test_utils.wait_until_succeeded_without_exception
    assert again([0, 1].pop, (ValueError,))
    assert not again([].pop, (IndexError,), timeout_ms=5, retry_interval_ms=1)
    with pytest.raises(IndexError):
        again([].pop, (IndexError,), timeout_ms=5, retry_interval_ms=1, raise_last_ex=True)
    assert not test_utils.wait_until_server_available(
        f"127.0.0.1:{test_utils.get_current_unused_port()}", timeout_ms=20, retry_interval_ms=5
    )


def test_a_program_runs_beside_the_test() -> None:
    script = "import ray, sys\nprint(ray.__version__)\nsys.stderr.write('told\\n')\n"
    assert sorted(test_utils.run_string_as_driver(script).split()) == ["2.60.0", "told"]
    assert test_utils.run_string_as_driver_stdout_stderr(script) == ("2.60.0\n", "told\n")
    with test_utils.run_string_as_driver_nonblocking(script) as process:
        assert process.stdout is not None and process.stdout.read() == b"2.60.0\n"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        test_utils.run_string_as_driver("import sys; print('said'); sys.exit(3)")
    assert (failed.value.returncode, failed.value.output) == (3, b"said\n")


def test_python_can_be_run() -> None:
    both = test_utils.check_call_subprocess(["-c", "print(1)"], capture_stdout=True, capture_stderr=True)
    assert both == (b"1\n", b"")
    assert test_utils.check_call_subprocess(["-c", "print(1)"], capture_stdout=True) == b"1\n"


def test_processes_are_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        test_utils.wait_for_children_of_pid(os.getpid())
        with pytest.raises(TimeoutError, match=f"process {process.pid} to exit"):
            test_utils.wait_for_pid_to_exit(process.pid, timeout=0.01)
        assert process.stdin is not None
        process.stdin.close()
        test_utils.wait_for_pid_to_exit(process.pid)
    test_utils.wait_for_children_of_pid_to_exit(process.pid)


def test_a_killed_actor_is_waited_for(session: None) -> None:
    actor: Any = test_utils.SignalActor.remote()
    skate.get(actor.cur_num_waiters.remote())
    test_utils.wait_for_num_actors(1, state="ALIVE")
    test_utils.kill_actor_and_wait_for_failure(actor)
    with pytest.raises(skate.exceptions.RayActorError):
        skate.get(actor.cur_num_waiters.remote())


def test_small_things(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.log").touch()
    assert test_utils.recursive_fnmatch(str(tmp_path), "*.log") == [str(tmp_path / "a" / "x.log")]
    with test_utils.chdir(tmp_path):
        assert Path.cwd() == tmp_path.resolve()
    assert test_utils.same_elements([1, [2], 1], [[2], 1, 1])
    assert not test_utils.same_elements([1, 1], [1, 2]) and not test_utils.same_elements([1], [1, 1])
    assert test_utils.is_named_tuple(collections.namedtuple("Pair", "a b"))  # noqa: PYI024
    assert not test_utils.is_named_tuple(tuple)
    clock = test_utils.FakeTimer(5)
    clock.advance(2)
    clock.realistic_sleep(1)
    assert 8 < clock.time() < 8.1


@pytest.mark.parametrize("use_put", [True, False])
def test_objects_are_put(session: None, use_put: bool) -> None:
    assert skate.get(test_utils.put_object([1], use_put)) == [1]


def test_the_memory_of_objects_is_measured(session: None) -> None:
    assert test_utils.object_memory_usage() == 0
    ref = skate.put(bytes(1_000_000))
    assert 1_000_000 <= test_utils.object_memory_usage() < 1_100_000
    del ref
    test_utils.wait_for_condition(lambda: test_utils.object_memory_usage() == 0)


def test_groups_leave_nothing_behind(session: None) -> None:
    group = skate.util.placement_group([{"CPU": 1}])
    skate.get(group.ready())
    assert not test_utils.is_placement_group_removed(group)
    test_utils.placement_group_assert_no_leak([group])
    assert test_utils.is_placement_group_removed(group)


def test_a_group_that_nobody_knows_is_not_reserved(session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    group = PlacementGroup(skate.PlacementGroupID.from_random())
    monkeypatch.setattr(skate, "wait", lambda refs, timeout: ([], refs))  # the answer is on its way
    assert not group.wait(0)


def test_nodes_are_told_apart() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1}, connect=True)
    try:
        other = cluster.add_node(num_cpus=1, resources={"there": 1})
        assert test_utils.get_other_nodes(cluster) == [other] == test_utils.get_non_head_nodes(cluster)
        assert test_utils.get_other_nodes(cluster, exclude_head=True) == [other]
        actor: Any = test_utils.SignalActor.options(resources={"there": 1}).remote()
        assert test_utils.get_actor_node_id(actor) == other.node_id
    finally:
        skate.shutdown()
        cluster.shutdown()


def test_settings_are_an_argument() -> None:
    assert test_utils.generate_system_config_map(a=1) == {"_system_config": {"a": 1}}
