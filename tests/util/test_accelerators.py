"""Names of accelerators, and what a machine knows of its TPUs."""

from __future__ import annotations

import pytest

from skate.util import accelerators, tpu
from skate.util.tpu import _machine


def test_names_are_what_accelerator_type_takes() -> None:
    assert accelerators.NVIDIA_A100 == accelerators.NVIDIA_TESLA_A100 == "A100"
    assert accelerators.tpu is tpu


def test_a_machine_outside_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine.glob, "glob", lambda pattern: [])
    for name in ("TPU_NAME", "TPU_WORKER_HOSTNAMES", "TPU_ACCELERATOR_TYPE"):
        monkeypatch.delenv(name, raising=False)
    assert tpu.get_num_tpu_chips_on_node() == 0
    assert tpu.get_current_pod_name() is None
    assert tpu.get_current_pod_worker_count() is None


@pytest.mark.parametrize("kind", ["accel", "vfio/"])
def test_a_machine_of_a_pod(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = ["/dev/accel", "/dev/vfio/vfio", *(f"/dev/{kind}{i}" for i in range(4))]
    monkeypatch.setattr(
        _machine.glob, "glob", lambda pattern: [name for name in devices if name.startswith(pattern[:-1])]
    )
    monkeypatch.setenv("TPU_NAME", "my-pod")
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "a,b")
    assert tpu.get_num_tpu_chips_on_node() == 4
    assert tpu.get_current_pod_name() == "my-pod"
    assert tpu.get_current_pod_worker_count() == 2
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "v4-32")
    assert tpu.get_current_pod_worker_count() == 4
