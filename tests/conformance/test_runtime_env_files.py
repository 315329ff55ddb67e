"""Runtime environments: directories, modules, packages and hooks."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, get
from .support import engine_cant

own_files = engine_cant(
    "inline", "packages and directory are those of the one process; refused with a clear error"
)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKATE_ENV_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "helper_of_project.py").write_text("VALUE = 'from the project'\n")
    (folder / "data" / "table.csv").write_text("a,b\n1,2\n")
    (folder / "secret.key").write_text("secret")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "noise.log").write_text("noise")
    return folder


@ray.remote
def look() -> list[str]:
    found = []
    for here, _dirs, names in os.walk("."):
        found += [
            os.path.relpath(os.path.join(here, name), ".") for name in names if "__pycache__" not in here
        ]
    return sorted(found)


@ray.remote
def value_of(module: str) -> Any:
    import importlib

    return importlib.import_module(module).VALUE


@ray.remote
class Reader:
    def table(self) -> str:
        return Path("data/table.csv").read_text()

    def value(self) -> Any:
        return get(value_of.remote("helper_of_project"))


@own_files
def test_a_working_directory_of_the_session(start: Any, project: Path) -> None:
    start(runtime_env={"working_dir": str(project)})
    assert get(look.remote()) == [".gitignore", "data/table.csv", "helper_of_project.py", "secret.key"]
    assert get(value_of.remote("helper_of_project")) == "from the project"


@own_files
def test_excludes(start: Any, project: Path) -> None:
    start(runtime_env={"working_dir": str(project), "excludes": ["*.key", "/data/"]})
    assert get(look.remote()) == [".gitignore", "helper_of_project.py"]


@own_files
def test_a_working_directory_of_an_actor_and_of_what_it_calls(start: Any, project: Path) -> None:
    start()
    actor = Reader.options(runtime_env={"working_dir": str(project)}).remote()
    assert get(actor.table.remote()) == "a,b\n1,2\n"
    assert get(actor.value.remote()) == "from the project"


@own_files
def test_a_working_directory_is_a_copy(start: Any, project: Path) -> None:
    start(runtime_env={"working_dir": str(project)})
    (project / "helper_of_project.py").write_text("VALUE = 'changed since'\n")
    assert get(value_of.remote("helper_of_project")) == "from the project"
    changed = value_of.options(runtime_env={"working_dir": str(project)})
    assert get(changed.remote("helper_of_project")) == "changed since"


@own_files
def test_a_zipped_working_directory(start: Any, project: Path, tmp_path: Path) -> None:
    archive = tmp_path / "project.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(project / "helper_of_project.py", "helper_of_project.py")
    start(runtime_env={"working_dir": str(archive)})
    assert get(value_of.remote("helper_of_project")) == "from the project"


def test_a_working_directory_that_is_not_there(start: Any, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises((ValueError, ray.exceptions.RuntimeEnvSetupError), match="missing"):
        start(runtime_env={"working_dir": missing})


@own_files
def test_modules(start: Any, tmp_path: Path) -> None:
    package = tmp_path / "package_of_tests"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("VALUE = 'the package'\n")
    (package / "inner" / "__init__.py").write_text("VALUE = 'inside it'\n")
    start(runtime_env={"py_modules": [str(package)]})
    assert get(value_of.remote("package_of_tests")) == "the package"
    assert get(value_of.remote("package_of_tests.inner")) == "inside it"


def make_wheel(folder: Path, name: str, value: str, version: str = "1.0") -> Path:
    """A wheel of one module that holds a value."""
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{name}.py", f"VALUE = {value!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel


@own_files
def test_a_wheel_among_the_modules(start: Any, tmp_path: Path) -> None:
    start(runtime_env={"py_modules": [str(make_wheel(tmp_path, "wheeled", "a wheel's"))]})
    assert get(value_of.remote("wheeled")) == "a wheel's"


def offline(tmp_path: Path, *requirements: str) -> dict[str, Any]:
    options = ["--no-index", "--find-links", str(tmp_path / "wheels")]
    return {"pip": {"packages": list(requirements), "pip_install_options": options}}


@ray.remote
def run_child() -> str:
    """What a child process of a task imports."""
    code = "import installed_here; print(installed_here.VALUE)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@own_files
def test_pip(start: Any, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "installed_here", "by pip")
    env = offline(tmp_path, "installed_here==1.0")
    start()
    refs = [value_of.options(runtime_env=env).remote("installed_here") for _ in range(6)]
    assert get(refs) == ["by pip"] * 6
    assert get(run_child.options(runtime_env=env).remote()) == "by pip"
    with pytest.raises(ModuleNotFoundError):
        get(value_of.remote("installed_here"))


@own_files
def test_pip_of_the_session(start: Any, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "installed_here", "for all")
    start(runtime_env=offline(tmp_path, "installed_here"))
    assert get(value_of.remote("installed_here")) == "for all"


@own_files
def test_two_versions_side_by_side(start: Any, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "installed_here", "old", "1.0")
    make_wheel(tmp_path / "wheels", "installed_here", "new", "2.0")
    start()
    refs = [
        value_of.options(runtime_env=offline(tmp_path, f"installed_here=={version}")).remote("installed_here")
        for version in ("1.0", "2.0")
    ]
    # Two builds by pip on a busy machine take long.
    assert ray.get(refs, timeout=4 * PATIENCE) == ["old", "new"]


@own_files
def test_pip_that_fails_says_what_pip_said(start: Any, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    start()
    task = look.options(runtime_env=offline(tmp_path, "there_is_no_such_package"))
    with pytest.raises(
        ray.exceptions.RuntimeEnvSetupError,
        match="No matching distribution found for there_is_no_such_package",
    ):
        get(task.remote())
    actor = Reader.options(runtime_env=offline(tmp_path, "there_is_no_such_package")).remote()
    with pytest.raises(
        ray.exceptions.RuntimeEnvSetupError,
        match="No matching distribution found for there_is_no_such_package",
    ):
        get(actor.table.remote())
    assert get(variable.remote("X")) is None


@ray.remote
def variable(name: str) -> str | None:
    return os.environ.get(name)


@own_files
def test_a_setup_hook(start: Any) -> None:
    def hook() -> None:
        os.environ["SET_BY_HOOK"] = "yes"

    start(runtime_env={"worker_process_setup_hook": hook})
    assert get(variable.remote("SET_BY_HOOK")) == "yes"


@own_files
def test_a_setup_hook_that_raises(start: Any) -> None:
    def hook() -> None:
        raise OSError("the licence server is away")

    start()
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match="licence server"):
        get(variable.options(runtime_env={"worker_process_setup_hook": hook}).remote("X"))
    assert get(variable.remote("X")) is None


def test_variables_refer_to_others(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_OF_TESTS", "base")
    start()
    env = {"env_vars": {"LONGER": "${BASE_OF_TESTS}/more"}}
    assert get(variable.options(runtime_env=env).remote("LONGER")) == "base/more"


@pytest.mark.parametrize(
    "bad",
    [{"pip": ["a"], "uv": ["b"]}, {"pip": "no-such-file.txt"}],
    ids=["both", "file"],
)
def test_what_can_not_be_is_a_value_error(start: Any, bad: dict[str, Any]) -> None:
    start()
    with pytest.raises(ValueError, match="runtime_env"):
        look.options(runtime_env=bad).remote()


_numbers = itertools.count()


def test_an_unknown_field_is_told_of_and_left_out(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    start()
    unknown = f"env_vars_{next(_numbers)}"  # told of once in a process
    assert get(variable.options(runtime_env={unknown: {"A": "1"}}).remote("A")) is None
    assert any("did you mean 'env_vars'" in record.message for record in caplog.records)
