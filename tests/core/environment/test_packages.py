"""Packages: the same content is the same entry; what is left out, and what is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from skate.core.environment import packages, settle
from skate.exceptions import RuntimeEnvSetupError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKATE_ENV_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_text("A = 1\n")
    (folder / "sub" / "b.py").write_text("B = 2\n")
    return folder


def test_the_same_content_is_the_same_entry(project: Path, tmp_path: Path) -> None:
    first = packages.directory(str(project), ())
    other = tmp_path / "elsewhere"
    os.rename(project, other)
    assert packages.directory(str(other), ()) == first
    (other / "a.py").write_text("A = 3\n")
    assert packages.directory(str(other), ()) != first


def test_an_entry_stands_for_itself(project: Path) -> None:
    first = packages.directory(str(project), ())
    assert packages.directory(first, ()) == first
    assert settle(settle({"working_dir": str(project)})) == {"working_dir": first}


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["*.py"], set()),
        (["/a.py"], {"sub/b.py"}),
        (["sub/"], {"a.py"}),
        (["*.py", "!a.py"], {"a.py"}),
        (["nothing"], {"a.py", "sub/b.py"}),
    ],
)
def test_excludes(project: Path, patterns: list[str], left: set[str]) -> None:
    copy = packages.directory(str(project), patterns)
    found = {
        os.path.relpath(os.path.join(here, name), copy)
        for here, _dirs, names in os.walk(copy)
        for name in names
    }
    assert found == left


def test_files_of_git_and_caches_stay_behind(project: Path) -> None:
    for name in (".git", "__pycache__"):
        (project / name).mkdir()
        (project / name / "x").write_text("x")
    assert sorted(os.listdir(packages.directory(str(project), ()))) == ["a.py", "sub"]


def test_one_that_is_too_large_names_the_largest_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "LIMIT", 100)
    (project / "weights.bin").write_bytes(b"x" * 200)
    with pytest.raises(RuntimeEnvSetupError, match=r"weights\.bin.*") as caught:
        packages.directory(str(project), ())
    assert "excludes" in str(caught.value)
    packages.directory(str(project), ("*.bin",))


def test_a_broken_archive(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"this is no archive")
    with pytest.raises(RuntimeEnvSetupError, match=r"broken\.zip"):
        packages.directory(str(broken), ())


def test_a_module_that_is_imported(project: Path) -> None:
    import tests.core

    copy = packages.module(tests.core, ())
    assert os.listdir(copy) == ["core"]
    assert "test_options.py" in os.listdir(os.path.join(copy, "core"))


def test_a_module_of_one_file(project: Path) -> None:
    assert os.listdir(packages.module(str(project / "a.py"), ())) == ["a.py"]


def test_a_file_uri(project: Path, tmp_path: Path) -> None:
    archive = tmp_path / "project.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(project / "a.py", "a.py")
    assert os.listdir(packages.directory(archive.as_uri(), ())) == ["a.py"]
