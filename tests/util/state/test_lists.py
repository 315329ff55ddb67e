"""Tasks, actors, objects and the rest, listed, filtered, got and summarized, on every engine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import skate
from skate import _state
from skate.util import state
from skate.util.state.exception import RayStateApiException
from tests.conformance.api import launch
from tests.conformance.helpers import PATIENCE, Gate
from tests.leaks import guard

if TYPE_CHECKING:
    from skate.util.state.common import TaskState


@pytest.fixture(params=("inline", "local", "dask"), scope="module", autouse=True)
def session(request: pytest.FixtureRequest) -> Iterator[str]:
    """A session of an engine that keeps records."""
    skate.shutdown()
    with guard.window():
        launch(request.param)
        yield str(request.param)
        skate.shutdown()


@skate.remote
def double(x: int) -> int:
    return 2 * x


@skate.remote(max_retries=0)
def broken(text: str) -> None:
    raise ValueError(text)


@skate.remote
class Counter:
    def one(self) -> int:
        return 1

    def fail(self) -> None:
        raise KeyError("no such count")


def eventually(look: Callable[[], Any]) -> Any:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
    return found


def tasks(name: str, **more: Any) -> list[TaskState]:
    return state.list_tasks(filters=[("name", "=", name)], **more)


def test_finished_and_failed_tasks_are_listed_with_what_went_wrong() -> None:
    ok = double.options(name="listed-ok").remote(1)
    bad = broken.options(name="listed-bad").remote("the words of the error")
    skate.wait([ok, bad], num_returns=2)
    (row,) = tasks("listed-ok", detail=True)
    assert (row.state, row.type, row.func_or_class_name) == ("FINISHED", "NORMAL_TASK", "double")
    assert row.task_id == ok.task_id().hex()
    assert row.required_resources == {"CPU": 1.0}
    assert row.creation_time_ms is not None and row.start_time_ms is not None and row.end_time_ms is not None
    assert row.creation_time_ms <= row.start_time_ms <= row.end_time_ms
    (row,) = tasks("listed-bad", detail=True)
    assert (row.state, row.error_type) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
    assert "the words of the error" in str(row.error_message)
    assert row["state"] == row.asdict()["state"] == "FAILED"


def test_columns_of_detail_are_empty_without_it() -> None:
    skate.get(double.options(name="plain").remote(1))
    (row,) = tasks("plain")
    assert row.start_time_ms is None and row.error_message is None


def test_each_attempt_is_a_row() -> None:
    @skate.remote(max_retries=2, retry_exceptions=True)
    def flaky() -> None:
        raise OSError("again")

    ref = flaky.options(name="flaky").remote()
    skate.wait([ref])
    rows = tasks("flaky")
    assert [row.attempt_number for row in rows] == [0, 1, 2]
    assert {row.state for row in rows} <= {"FAILED"}
    assert [row.task_id for row in state.get_task(ref)] == [ref.task_id().hex()] * 3  # type: ignore[union-attr]


def test_what_runs_waits_or_queues_is_listed_as_such() -> None:
    gate = Gate.remote()

    @skate.remote(num_cpus=0)
    def waits_at(gate: Any) -> int:
        skate.get(gate.wait.remote("one"))
        return 1

    ref = waits_at.options(name="waiting").remote(gate)
    after = double.options(name="after").remote(ref)
    skate.get(gate.arrived.remote(1))
    assert eventually(lambda: tasks("waiting"))[0].state.startswith("RUNNING")
    assert tasks("after")[0].state == "PENDING_ARGS_AVAIL"
    skate.get(gate.open.remote())
    assert skate.get(after) == 2
    assert tasks("waiting")[0].state == tasks("after")[0].state == "FINISHED"


def test_calls_of_tasks_in_workers_are_listed_with_their_parent() -> None:
    @skate.remote
    def outer() -> Any:
        return skate.get(double.options(name="inner").remote(3))

    ref = outer.remote()
    assert skate.get(ref) == 6
    (row,) = tasks("inner")
    assert row.parent_task_id == ref.task_id().hex()


def test_actors_and_their_calls() -> None:
    counter = Counter.options(name="listed-counter").remote()
    skate.get(counter.one.remote())
    skate.wait([counter.fail.remote()])
    (row,) = state.list_actors(filters=[("name", "=", "listed-counter")], detail=True)
    actor_id = counter._actor_id.hex()
    assert (row.actor_id, row.class_name, row.state) == (actor_id, "Counter", "ALIVE")
    assert row.pid and row.num_restarts == 0
    of_it = state.list_tasks(filters=[("actor_id", "=", actor_id)])
    assert [(t.type, t.func_or_class_name, t.state) for t in of_it] == [
        ("ACTOR_CREATION_TASK", "Counter.__init__", "FINISHED"),
        ("ACTOR_TASK", "Counter.one", "FINISHED"),
        ("ACTOR_TASK", "Counter.fail", "FAILED"),
    ]
    assert state.get_actor(actor_id) == row
    skate.kill(counter)
    dead = eventually(
        lambda: state.list_actors(filters=[("state", "=", "DEAD"), ("actor_id", "=", actor_id)])
    )
    assert dead[0].class_name == "Counter"
    gone = state.get_actor(actor_id)
    assert gone is not None and gone.death_cause is not None
    assert "kill" in gone.death_cause["actor_died_error_context"]["error_message"]


def test_objects_are_listed_with_their_sizes() -> None:
    ref = skate.put(b"x" * 1_000_000)
    rows = state.get_objects(ref.hex())
    assert [row.pid for row in rows] == [os.getpid()]
    assert rows[0].object_size >= 1_000_000
    assert (rows[0].reference_type, rows[0].task_status) == ("LOCAL_REFERENCE", "FINISHED")
    name = ref.hex()
    del ref
    assert eventually(lambda: not state.get_objects(name))


def test_machines_processes_and_programs() -> None:
    (node,) = state.list_nodes(detail=True)
    assert node.state == "ALIVE" and node.resources_total["CPU"] == 2
    assert state.get_node(node.node_id) == node
    drivers = state.list_workers(filters=[("worker_type", "=", "DRIVER")])
    assert [(driver.pid, driver.is_alive) for driver in drivers] == [(os.getpid(), True)]
    assert state.get_worker(drivers[0].worker_id) is not None
    (job,) = state.list_jobs()
    assert job.job_id == skate.get_runtime_context().get_job_id()
    assert job.driver_info is not None and job.driver_info.pid == str(os.getpid())


def test_a_folder_that_a_program_calls_jobs_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "socket").touch()
    assert [job.type for job in state.list_jobs()] == ["DRIVER"]


def test_filters_hold_all_together_and_take_no_notice_of_case() -> None:
    skate.get([double.options(name="filtered").remote(i) for i in range(3)])
    found = state.list_tasks(filters=[("name", "=", "Filtered"), ("state", "=", "finished")])
    assert len(found) == 3
    assert state.list_tasks(filters=[("name", "=", "filtered"), ("state", "!=", "FINISHED")]) == []
    assert len(state.list_tasks(filters=[("name", "=", "filtered")], limit=2)) == 2
    pid = found[0].worker_pid
    assert found[0] in state.list_tasks(filters=[("worker_pid", "=", pid), ("name", "=", "filtered")])


@pytest.mark.parametrize(
    ("filters", "error", "says"),
    [
        ([("state", "~", "X")], ValueError, "~"),
        ([("state", "=")], ValueError, "no filter"),
        (("state", "=", "X"), ValueError, "no filter"),
        ([("nope", "=", "X")], RayStateApiException, "nope"),
        ([("error_message", "=", "X")], RayStateApiException, "error_message"),
    ],
)
def test_a_filter_that_makes_no_sense(filters: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        state.list_tasks(filters=filters)


def test_many_tasks_are_listed_and_filtered(session: str) -> None:
    count = 500 if session == "dask" else 12_000  # on Dask each passes its scheduler

    @skate.remote
    def numbered(number: int) -> int:
        if number == count // 2:
            raise ValueError(number)
        return number

    refs = [numbered.remote(number) for number in range(count)]
    ready, _ = skate.wait(refs, num_returns=count)
    assert len(ready) == count
    (failed,) = state.list_tasks(filters=[("name", "=", "numbered"), ("state", "=", "FAILED")], limit=10_000)
    assert failed.task_id == refs[count // 2].task_id().hex()
    rows = state.list_tasks(
        filters=[("name", "=", "numbered"), ("state", "!=", "FAILED")],
        limit=10_000,
        raise_on_missing_output=False,
    )
    assert len({row.task_id for row in rows}) == min(10_000, count - 1)
    assert {(row.name, row.state) for row in rows} == {("numbered", "FINISHED")}
    (one,) = state.list_tasks(filters=[("task_id", "=", refs[-1].task_id().hex())])
    assert (one.name, one.state) == ("numbered", "FINISHED")


def test_limits() -> None:
    assert state.list_tasks(limit=0) == []
    with pytest.raises(RayStateApiException, match="-1"):
        state.list_tasks(limit=-1)


@pytest.mark.parametrize("timeout", [1, 2.5])
def test_a_time_limit_is_a_whole_number_or_a_fraction_of_seconds(timeout: float) -> None:
    assert state.list_tasks(filters=[("name", "=", "never called")], timeout=timeout) == []  # type: ignore[arg-type]
    assert skate.get(double.remote(1)) == 2


def test_what_there_is_none_of() -> None:
    assert state.get_task("ff" * 24) is None
    assert state.get_actor("ff" * 16) is None
    assert state.get_objects("ff" * 28) == []


def test_summaries() -> None:
    skate.wait(
        [double.options(name="summed").remote(1), broken.options(name="summed").remote("x")], num_returns=2
    )
    counter = Counter.remote()
    skate.get(counter.one.remote())
    summary = state.summarize_tasks()["cluster"]
    assert summary["summary"]["summed"]["state_counts"] == {"FINISHED": 1, "FAILED": 1}
    assert summary["total_actor_tasks"] >= 1
    actors = state.summarize_actors()["cluster"]
    assert actors["summary"]["Counter"]["state_counts"]["ALIVE"] >= 1
    kept = skate.put(b"y" * (2 << 20))
    objects = state.summarize_objects()["cluster"]
    assert (
        objects["total_size_mb"] >= 2
        and objects["summary"]["disabled"]["total_objects"] == objects["total_objects"]
    )
    del kept


def test_rows_of_actors_in_a_placement_group_and_of_programs() -> None:
    group = skate.util.placement_group([{"CPU": 1}])
    inside = skate.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    member = Counter.options(num_cpus=1, scheduling_strategy=inside).remote()
    skate.get(member.one.remote())
    row = state.get_actor(member._actor_id.hex())
    assert row is not None and row.placement_group_id == group.id.hex()
    found = state.get_placement_group(group.id.hex())
    assert found is not None and found.state == "CREATED"
    skate.util.remove_placement_group(group)
    (job,) = state.list_jobs()
    assert job.model_dump()["status"] == job.dict()["status"] == "RUNNING"


def test_the_timeline_has_calls_and_marked_blocks() -> None:
    @skate.remote
    def marked() -> None:
        with skate.util.profile("a marked block", {"file": "a.csv"}):
            pass

    ref = marked.options(name="drawn").remote()
    skate.get(ref)
    events = eventually(
        lambda: (
            [e for e in skate.timeline() or () if e["name"] in ("drawn", "a marked block")][1:]
            and skate.timeline()
        )
    )
    drawn = {event["name"]: event for event in events}
    assert (
        drawn["drawn"]["args"]["task_id"] == drawn["a marked block"]["args"]["task_id"] == ref.task_id().hex()
    )
    assert drawn["a marked block"]["args"]["file"] == "a.csv"
    assert drawn["drawn"]["dur"] >= 0 and drawn["drawn"]["tid"] == drawn["a marked block"]["tid"]


@skate.remote(max_concurrency=2)
class Waiting:
    def __init__(self) -> None:
        self.go_on = threading.Event()

    def pid(self) -> int:
        return os.getpid()

    def stands_here(self) -> None:
        self.go_on.wait()

    def release(self) -> None:
        self.go_on.set()


def test_the_stacks_of_every_process(session: str) -> None:
    if session == "inline":
        assert [row["pid"] for row in _state.read("stacks").rows] == [os.getpid()]
        return
    actor = Waiting.remote()
    pid = skate.get(actor.pid.remote())
    waits = actor.stands_here.remote()

    def stands() -> bool:
        rows = {row["pid"]: row for row in _state.read("stacks").rows}
        assert os.getpid() in rows
        frames = [frame for _name, _ident, frames in rows[pid]["threads"] for frame in frames]
        return any(function == "stands_here" and file == __file__ for file, _line, function, _text in frames)

    eventually(stands)
    skate.get([actor.release.remote(), waits])
