"""Sessions that stand by themselves: started and stopped by commands, joined by programs one after another and together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPO, wait_until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs of this test are, with a registry of sessions of its own."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    for name in ("SKATE_ADDRESS", "RAY_ADDRESS", "SKATE_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def skate(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skate", *arguments], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def session(folder: Path) -> Iterator[str]:
    """The name of a standing session with two CPUs."""
    name = skate("start", "--num-cpus", "2").split()[1]
    yield name
    skate("stop")
    assert "no session runs" in skate("stop")


def program(folder: Path, body: str, name: str = "program.py") -> subprocess.Popen[str]:
    script = folder / name
    script.write_text(body)
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def output(running: subprocess.Popen[str]) -> str:
    said, _ = running.communicate(timeout=50)
    assert running.returncode == 0, said
    return said


KEEPER = """
import skate as ray
ray.init(namespace="shared")
@ray.remote
class Keeper:
    def __init__(self):
        self.count = 0
    def add(self):
        self.count += 1
        return self.count
keeper = Keeper.options(name="keeper", lifetime="detached", get_if_exists=True).remote()
print("count", ray.get(keeper.add.remote()))
"""


def test_a_detached_actor_outlives_its_program(session: str, folder: Path) -> None:
    assert "count 1" in output(program(folder, KEEPER))
    assert "count 2" in output(program(folder, KEEPER))


def test_an_actor_that_is_not_detached_ends_with_its_program(session: str, folder: Path) -> None:
    ordinary = KEEPER.replace('lifetime="detached", ', "")
    assert "count 1" in output(program(folder, ordinary))
    assert "count 1" in output(program(folder, ordinary))


def test_workers_find_the_modules_of_each_program(session: str, folder: Path) -> None:
    body = (
        "import skate as ray, own\n@ray.remote\ndef f(): return own.NAME\nprint('own', ray.get(f.remote()))\n"
    )
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "own.py").write_text(f"NAME = {name!r}\n")
        assert f"own {name}" in output(program(folder / name, body))


def test_a_program_that_says_ray_joins(session: str, folder: Path) -> None:
    (folder / "program.py").write_text(
        "import ray\nray.init()\n@ray.remote\nclass Actor:\n    def version(self): return ray.__version__\n"
        "print(ray.get(Actor.remote().version.remote()), ray.get(ray.remote(lambda: ray.__name__).remote()))\n"
    )
    assert "2.60.0 ray" in skate("run", str(folder / "program.py"))
    assert "count 1" in output(program(folder, KEEPER)), (
        "programs that do not say ray still have workers of theirs"
    )


def test_each_program_is_shown_what_its_own_tasks_print(session: str, folder: Path) -> None:
    body = """
import skate as ray, sys
ray.init("auto")
@ray.remote
class Gate:
    def __init__(self): self.there = 0
    def arrive(self): self.there += 1
    def count(self): return self.there
gate = Gate.options(name="gate", namespace="both", lifetime="detached", get_if_exists=True).remote()
@ray.remote
def say(): print("I work for", NAME)
ray.get(say.remote())
ray.get(gate.arrive.remote())
while ray.get(gate.count.remote()) < 2: pass
"""
    both = [program(folder, body.replace("NAME", repr(name)), f"{name}.py") for name in ("one", "two")]
    one, two = (output(running) for running in both)
    assert "I work for one" in one and "I work for two" not in one
    assert "I work for two" in two and "I work for one" not in two


def test_a_program_that_is_killed_leaves_the_session_to_the_others(session: str, folder: Path) -> None:
    doomed = program(
        folder,
        "import skate as ray\nray.init()\n@ray.remote\ndef wait():\n    import time\n    time.sleep(100)\n"
        "refs = [wait.remote() for _ in range(4)]\nprint('waiting', flush=True)\nray.get(refs)\n",
        "doomed.py",
    )
    assert doomed.stdout is not None
    assert "waiting" in doomed.stdout.readline()
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    body = "import skate as ray\nray.init()\nprint('sum', sum(ray.get([ray.remote(abs).remote(-1) for _ in range(4)])))"
    assert "sum 4" in output(program(folder, body.replace("ray.remote(abs)", "ray.remote(lambda x: -x)")))


def test_resources_of_a_session_that_runs_can_not_be_chosen(session: str, folder: Path) -> None:
    body = (
        "import skate as ray\ntry: ray.init('auto', num_cpus=1)\nexcept ValueError as error: print(error)\n"
        "ray.init(num_cpus=1)\nprint('own', ray.cluster_resources()['CPU'])\n"
    )
    said = output(program(folder, body))
    assert "must not be provided" in said and "own 1.0" in said


def test_environment_variables_name_the_session(
    session: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "import skate as ray\nprint('joined', ray.init()['session_name'])\n"
    monkeypatch.setenv("RAY_ADDRESS", session)
    assert f"joined {session}" in output(program(folder, body))
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert f"joined {session}" not in output(program(folder, body))


@pytest.mark.parametrize("address", ["auto", "no-such-session", "ray://somewhere:10001"])
def test_there_is_nothing_to_join(folder: Path, address: str) -> None:
    body = f"import skate as ray\ntry: ray.init({address!r})\nexcept ConnectionError as error: print('refused:', error)\n"
    assert "refused:" in output(program(folder, body))


def test_status_and_jobs_of_a_standing_session(session: str, folder: Path) -> None:
    assert "CPU" in skate("status")
    waiting = program(
        folder,
        "import skate as ray, sys\nray.init()\nprint('joined', flush=True)\nsys.stdin.read()\n",
        "waiting.py",
    )
    assert waiting.stdout is not None
    assert "joined" in waiting.stdout.readline()
    wait_until(
        lambda: "waiting.py" in skate("list", "jobs", "--format", "json"), what="the program to be listed"
    )
    waiting.communicate(timeout=20)  # closes what it waits for


def test_start_and_stop_for_machines(folder: Path) -> None:
    started = json.loads(skate("start", "--num-cpus", "1", "--format", "json"))
    assert list(started) == ["session"]
    assert json.loads(skate("stop", "--format", "json")) == {"ended": [started["session"]]}
    assert json.loads(skate("stop", "--format", "json")) == {"ended": []}


def test_a_session_that_blocks_ends_with_its_command(folder: Path) -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "skate", "start", "--num-cpus", "1", "--block"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert "session" in command.stdout.readline()
    wait_until(lambda: "CPU" in skate("status"), what="the session to answer")
    command.terminate()
    assert command.wait(timeout=20) == 0
    command.stdout.close()
    assert "no session runs" in skate("stop")
