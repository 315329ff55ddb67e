"""A session as another process of the same user sees it; the timeline. On the local engine, which has processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate.engine.local import registry
from skate.util import profile, state
from tests.leaks import guard
from tests.util.state.test_lists import eventually


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[Any]:
    """A session of the local engine."""
    skate.shutdown()
    with guard.window(), skate.init(num_cpus=2, engine="local", log_to_driver=False) as started:
        yield started


@skate.remote
def say(text: str) -> int:
    print(text)
    print(text.upper(), file=sys.stderr)
    return os.getpid()


@skate.remote
class Talker:
    def say(self, text: str) -> None:
        print(text)


def ask(program: str) -> Any:
    """What a program in another process prints, which is JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_another_process_lists_tasks_though_the_program_does_nothing() -> None:
    skate.get([say.options(name="seen-elsewhere").remote("x") for _ in range(3)])
    found = ask(
        "import json; from skate.util.state import list_tasks\n"
        "rows = list_tasks(filters=[('name', '=', 'seen-elsewhere')])\n"
        "print(json.dumps([row.state for row in rows]))"
    )
    assert found == ["FINISHED"] * 3


def test_a_session_is_found_by_its_name() -> None:
    name = skate.get_runtime_context().get_session_name()
    assert registry.find(name).pid == os.getpid()
    assert registry.find(None).name == name
    with pytest.raises(ConnectionError, match=r"no-such-session.*" + name):
        registry.find("no-such-session")
    rows = ask(
        f"import json; from skate.util.state import list_jobs; print(json.dumps([j.status for j in list_jobs({name!r})]))"
    )
    assert rows == ["RUNNING"]


def test_the_registry_is_its_users_alone() -> None:
    where = Path(registry.directory())
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    files = list(where.iterdir())
    assert files and all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_directory_that_others_can_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "skate").mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="only you can enter"):
        registry.directory()


def test_a_directory_that_goes_while_it_is_looked_at_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    look = registry._check_ours

    def the_last_session_ends(path: str) -> None:
        monkeypatch.setattr(registry, "_check_ours", look)
        os.rmdir(path)
        look(path)

    where = registry.directory()
    monkeypatch.setattr(registry, "_check_ours", the_last_session_ends)
    assert registry.sessions() == [] and not os.path.exists(where)
    registry.directory()
    monkeypatch.setattr(registry, "_check_ours", the_last_session_ends)
    assert registry.directory() == where and os.path.isdir(where)


def test_an_entry_whose_process_is_gone_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    settings = {
        "session_dir": "/s/dead",
        "node_path": "/s/dead/node",
        "namespace": "n",
        "token": b"t",
        "argv": ["x"],
        "standing": False,
    }
    registry.register(settings, ended.pid)
    assert list(tmp_path.iterdir())
    ended.wait()
    assert registry.sessions() == []
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConnectionError, match="No running session"):
        registry.find("auto")


def test_the_timeline_has_tasks_calls_and_marked_blocks(tmp_path: Path) -> None:
    @skate.remote
    def marked() -> None:
        with profile("inner part", {"why": "a test", "odd": object}):
            pass

    talker = Talker.remote()
    skate.get([marked.remote(), talker.say.remote("x")])
    path = tmp_path / "trace.json"
    assert skate.timeline(str(path)) is None
    events = json.loads(path.read_text())
    runs = [event for event in events if event["ph"] == "X"]
    by_name = {event["name"]: event for event in runs}
    assert {"Talker.say", "inner part"} <= by_name.keys()
    inner = by_name["inner part"]
    outer = next(event for event in runs if event["cat"].endswith("marked"))
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"] + 1
    assert inner["args"]["why"] == "a test"
    named = {(event["pid"], event["tid"]) for event in events if event["ph"] == "M"}
    assert {(event["pid"], event["tid"]) for event in runs} <= named


def test_a_process_that_ends_leaves_its_records() -> None:
    @skate.remote
    class Parent:
        def run(self) -> int:
            return skate.get(say.options(name="child-of-the-dead").remote("x")) and os.getpid()

    parent = Parent.remote()
    pid = skate.get(parent.run.remote())
    del parent
    eventually(lambda: state.list_workers(filters=[("pid", "=", pid), ("is_alive", "=", False)]))
    assert state.list_tasks(filters=[("name", "=", "child-of-the-dead")])[0].state == "FINISHED"
