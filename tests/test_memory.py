"""The memory that a session takes for its own: a control group's limit counts, of either version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skate import _memory
from skate.engine.base import InitConfig
from skate.engine.inline.resources import total_resources as inline_resources
from skate.engine.local import launch


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("line", "folder", "name"),
    [
        ("0::/user/me", "", "memory.max"),
        ("7:cpu,memory:/user/me", "memory", "memory.limit_in_bytes"),
    ],
)
def test_limits_of_a_control_group_and_of_those_around_it(
    tmp_path: Path, line: str, folder: str, name: str
) -> None:
    root = tmp_path / "cgroup"
    _write(tmp_path / "self", f"3:cpuset:/elsewhere\n{line}\n")
    _write(root / folder / "user" / "me" / name, "3000\n")
    _write(root / folder / "user" / name, "2000\n")
    _write(root / "elsewhere" / name, "1\n")
    assert sorted(_memory._cgroup_limits(str(tmp_path / "self"), str(root))) == [2000, 3000]


def test_no_limit_and_no_control_groups(tmp_path: Path) -> None:
    _write(tmp_path / "self", "0::/\n")
    _write(tmp_path / "cgroup" / "memory.max", "max\n")
    assert _memory._cgroup_limits(str(tmp_path / "self"), str(tmp_path / "cgroup")) == []
    assert _memory._cgroup_limits(str(tmp_path / "absent"), str(tmp_path)) == []


def test_the_machines_memory_is_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(_memory, "_cgroup_limits", lambda: [machine * 2])
    assert _memory.machine_memory() == machine
    monkeypatch.setattr(_memory, "_cgroup_limits", lambda: [1 << 30, 2 << 30])
    assert _memory.machine_memory() == 1 << 30


def test_a_session_goes_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "_cgroup_limits", lambda: [1 << 30])
    store = launch.store_bytes(InitConfig())
    assert store == int(0.3 * (1 << 30)) // 4096 * 4096
    for totals in (launch.total_resources(InitConfig()), inline_resources(InitConfig())):
        assert totals["memory"] == int(0.7 * (1 << 30))
        assert totals["object_store_memory"] == pytest.approx(store, abs=4096)
