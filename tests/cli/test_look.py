"""The commands that look at a running session."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate.cli import main
from skate.util.drain import draining_nodes
from tests.conformance.helpers import Gate
from tests.leaks import guard
from tests.util.state.test_lists import eventually


@skate.remote
def fine(x: int) -> int:
    print("fine says", x)
    return x


@skate.remote(max_retries=0)
def bad() -> None:
    raise ValueError("on purpose")


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """A session with a task that ended, one that failed, and one that waits for CPUs there are not."""
    skate.shutdown()
    with guard.window(), skate.init(num_cpus=2, engine="local", log_to_driver=False):
        refs = [
            fine.remote(1),
            bad.remote(),
            fine.options(name="starved", resources={"nowhere": 1}).remote(2),
        ]
        skate.wait(refs, num_returns=2)
        kept = skate.put(b"k" * 3_000_000)
        yield
        del kept


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    assert main(arguments) == 0
    return capsys.readouterr().out


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command tells machines."""
    return json.loads(run(capsys, *arguments, "--format", "json"))


def test_status(capsys: pytest.CaptureFixture[str]) -> None:
    eventually(lambda: re.search(r"CPU +0 +2", run(capsys, "status")))  # an idle lease is kept for a moment
    text = run(capsys, "status")
    assert "1 failed" in text and re.search(r"1 +starved +CPU: 1, nowhere: 1", text)
    found = run_json(capsys, "status")
    assert found["tasks"]["FAILED"] == 1 and found["waiting"][0]["name"] == "starved"
    assert found["store"]["used"] >= 3_000_000


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"fine +FINISHED +NORMAL_TASK", run(capsys, "list", "tasks"))
    rows = run_json(capsys, "list", "tasks", "--filter", "state=FAILED", "--detail")
    assert [row["func_or_class_name"] for row in rows] == ["bad"] and "on purpose" in rows[0]["error_message"]
    assert len(run_json(capsys, "list", "tasks", "-f", "state!=FAILED")) == 2
    assert run(capsys, "list", "placement-groups") == "no placement-groups\n"
    for what in ("actors", "objects", "nodes", "workers", "jobs", "runtime-envs", "cluster-events"):
        run(capsys, "list", what)
        run_json(capsys, "list", what, "--detail")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list", "everything"), "everything"),
        (("list", "tasks", "--filter", "state"), "COLUMN=VALUE"),
        (("list", "tasks", "--filter", "colour=red"), "colour"),
        (("list", "tasks", "--limit", "-1"), "-1"),
        (("logs", "--pid", "1"), "pid=1"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_a_session_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--address", "no-such-session"]) == 1
    assert "skate status: No running session is called 'no-such-session'" in capsys.readouterr().err


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"bad +NORMAL_TASK +FAILED: 1", run(capsys, "summary", "tasks"))
    assert run_json(capsys, "summary", "tasks")["summary"]["fine"]["state_counts"] == {"FINISHED": 1}
    run(capsys, "summary", "actors")
    assert run_json(capsys, "summary", "objects")["total_size_mb"] > 2.8


def test_memory(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "memory").splitlines()
    assert "LOCAL_REFERENCE" in lines[2] and "MiB" in lines[2]
    assert run_json(capsys, "memory", "--limit", "1")["objects"][0]["object_size"] >= 3_000_000


def test_logs(capsys: pytest.CaptureFixture[str]) -> None:
    eventually(lambda: ".out" in run(capsys, "logs"))
    (name,) = (n for n in run_json(capsys, "logs")["worker_out"] if "fine says 1" in run(capsys, "logs", n))
    assert run(capsys, "logs", name, "--tail", "1") == "fine says 1\n"
    pid = re.search(r"-(\d+)\.out", name)
    assert pid is not None
    assert "fine says 1" in run(capsys, "logs", "--pid", pid[1])


def test_timeline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert str(path) in run(capsys, "timeline", str(path))
    assert {"fine", "bad"} <= {event["name"] for event in json.loads(path.read_text())}


def test_stack_from_another_process(capsys: pytest.CaptureFixture[str]) -> None:
    gate = Gate.remote()

    @skate.remote(num_cpus=0)
    def stops_here(gate: Any) -> None:
        skate.get(gate.wait.remote())

    @skate.remote(num_cpus=0)
    def comes_after(_ready: Any) -> None:
        return None

    last = comes_after.remote(stops_here.remote(gate))
    skate.get(gate.arrived.remote(1))
    done = subprocess.run(
        [sys.executable, "-m", "skate", "stack"], check=True, capture_output=True, text=True
    )
    assert re.search(rf"process {os.getpid()}\n(?s:.*) in test_stack_from_another_process", done.stdout)
    assert re.search(
        r"in (\S*\.)?stops_here\n +skate\.get\(gate\.wait\.remote\(\)\)\n +\(waits in Skate\)", done.stdout
    )
    workers = [
        part for part in done.stdout.split("\nprocess ") if "test_stack_from_another_process" not in part
    ]
    assert workers and "<string>" not in "".join(workers)  # how they were started is nobody's business
    assert re.search(r"waits for Gate\.wait: it runs in its actor", done.stdout)
    assert re.search(r"comes_after: its arguments \w+ are not there yet", done.stdout)
    found = run_json(capsys, "stack", "--pid", str(os.getpid()))
    assert [process["pid"] for process in found["processes"]] == [os.getpid()]
    skate.get(gate.open.remote())
    skate.get(last)


def test_notice_of_a_node_that_will_be_taken_away() -> None:
    def drain(*arguments: str) -> subprocess.CompletedProcess[str]:
        name = skate.get_runtime_context().get_session_name()
        command = [sys.executable, "-m", "skate", "drain-node", "--address", name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "is no node of this session" in drain("--node-id", "ab" * 28).stderr and draining_nodes() == {}
    begin = time.time()
    done = drain("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--deadline-remaining-seconds", "60")
    assert done.returncode == 0, done.stderr
    ((node_id, deadline_ms),) = draining_nodes().items()
    assert node_id == skate.get_runtime_context().get_node_id() and node_id in done.stdout
    assert begin + 60 <= deadline_ms / 1000 + 0.001 <= time.time() + 60


def test_on_a_terminal_tables_have_lines() -> None:
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "skate", "list", "tasks"]
        with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE) as process:
            assert process.wait(30) == 0
        assert "┃" in os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
