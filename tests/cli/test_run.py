"""`skate run`: a program sees what it would see under `python`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPO, wait_until


def _run(
    *arguments: str, cwd: Path, launcher: tuple[str, ...] = ("-m", "skate", "run")
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return _run(*arguments, cwd=cwd, launcher=())


_REPORT = """
import os, sys
spec = __spec__ and __spec__.name
print(__name__, __file__, __package__, spec, type(__loader__).__name__, sorted(globals()))
print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "report.py").write_text(_REPORT)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text(_REPORT)
    (tmp_path / "package" / "part.py").write_text(_REPORT)
    (tmp_path / "link.py").symlink_to(tmp_path / "sub" / "report.py")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("sub/report.py",),
        ("sub/report.py", "a", "--help", "-m", "--engine", "x"),
        ("./sub/../sub/report.py", "--", "b"),
        ("link.py",),
        ("-m", "package", "a", "-m"),
        ("-m", "package.part", "--version"),
        ("package",),
    ],
    ids=" ".join,
)
def test_a_program_sees_what_it_sees_under_python(folder: Path, arguments: tuple[str, ...]) -> None:
    ours, pythons = _run(*arguments, cwd=folder), _python(*arguments, cwd=folder)
    assert ours.stderr == pythons.stderr == ""
    assert ours.stdout == pythons.stdout
    assert ours.returncode == pythons.returncode == 0


@pytest.mark.parametrize(
    "ending", ["sys.exit()", "sys.exit(3)", "sys.exit('why')", "raise KeyError(1)", "x = ("]
)
def test_it_ends_as_it_does_under_python(tmp_path: Path, ending: str) -> None:
    (tmp_path / "ends.py").write_text(
        f"import atexit, sys\natexit.register(print, 'last')\ndef end():\n    {ending}\nend()\n"
    )
    ours, pythons = _run("ends.py", cwd=tmp_path), _python("ends.py", cwd=tmp_path)
    assert ours.returncode == pythons.returncode
    assert ours.stdout == pythons.stdout
    assert ours.stderr == pythons.stderr


def test_a_hook_for_uncaught_errors_is_called_once(tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text(
        "import sys, traceback\n"
        "def hook(kind, error, tb): print(kind.__name__, traceback.extract_tb(tb)[0].line)\n"
        "sys.excepthook = hook\n"
        "raise KeyError\n"
    )
    finished = _run("hook.py", cwd=tmp_path)
    assert (finished.stdout, finished.stderr, finished.returncode) == ("KeyError raise KeyError\n", "", 1)


def test_control_c_ends_it_by_the_signal(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("print('ready', flush=True)\nimport time\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "skate", "run", "waits.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        wait_until(lambda: process.poll() is not None, what="the program to end")
        errors = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert errors.count("KeyboardInterrupt") == 1
    assert "_program.py" not in errors


def test_ray_is_skate_in_the_program_and_in_what_it_starts(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import ray\ndef version(): return ray.__version__\n")
    (tmp_path / "program.py").write_text(
        "import sys, ray, beside\n"
        "class Result:\n"
        "    def __init__(self, value): self.value = value\n"
        "@ray.remote\n"
        "def task(): return Result([ray.__version__, beside.version(), ray.__name__])\n"
        "if __name__ == '__main__':\n"
        "    result = ray.get(task.remote())\n"
        "    print(isinstance(result, Result), result.value)\n"
    )
    finished = _run("program.py", cwd=tmp_path)
    assert finished.stderr == ""
    assert finished.stdout == "True ['2.60.0', '2.60.0', 'ray']\n"


def test_the_engine_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(
        "import os, ray\nprint(ray.get(ray.remote(os.getpid).remote()) == os.getpid())\n".replace(
            "ray.remote(os.getpid)", "ray.remote(lambda: os.getpid())"
        )
    )
    assert _run("where.py", cwd=tmp_path).stdout == "False\n"
    assert _run("--engine", "inline", "where.py", cwd=tmp_path).stdout == "True\n"


def test_an_error_about_a_missing_name_says_where_those_are_listed(tmp_path: Path) -> None:
    (tmp_path / "lacks.py").write_text("from ray.exceptions import NoSuchError\n")
    finished = _run("lacks.py", cwd=tmp_path)
    assert finished.returncode == 1
    assert "cannot import name 'NoSuchError'" in finished.stderr
    assert "docs/compatibility.md" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "name the program to run"),
        (("nothing.py",), 2, "can't run 'nothing.py': there is no such file"),
        (("-m", "no_such_module"), 1, "No module named 'no_such_module'"),
        (("-m", "skate.util"), 1, "'skate.util' is a package and has no __main__.py"),
        (("-m", "sys"), 1, "'sys' has no Python code"),
        ((".",), 1, "can't run '.': it has no __main__.py"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    finished = _run(*arguments, cwd=tmp_path)
    assert finished.returncode == code
    assert says in finished.stderr
    assert "Traceback" not in finished.stderr
