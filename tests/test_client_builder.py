"""`client(…).connect()`, the older way to join a session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skate as ray
from skate.client_builder import ClientBuilder, ClientContext
from tests.support import REPO


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a standing session with three CPUs."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    for name in ("SKATE_ADDRESS", "RAY_ADDRESS", "SKATE_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-m", "skate"]
    said = subprocess.run([*command, "start", "--num-cpus", "3"], capture_output=True, text=True, check=True)
    yield said.stdout.split()[1]
    ray.shutdown()
    subprocess.run([*command, "stop"], capture_output=True, check=True)


@pytest.mark.filterwarnings("ignore:client")
def test_it_joins_the_session_that_stands(standing: str) -> None:
    for address in (None, "ray://localhost:10001", "127.0.0.1:10001", standing):
        with ray.client(address).namespace("mine").env({"env_vars": {"A": "b"}}).connect() as context:
            assert isinstance(context, ClientContext)
            assert context.ray_version == "2.60.0"
            assert ray.get_runtime_context().get_session_name() == standing
            assert ray.get_runtime_context().namespace == "mine"
            assert ray.get(ray.remote(lambda: __import__("os").environ["A"]).remote()) == "b"
        assert not ray.is_initialized()


def test_init_takes_the_addresses_of_programs_written_for_ray(standing: str) -> None:
    for address in ("ray://127.0.0.1:10001", "127.0.0.1:6379", "auto"):
        ray.init(address)
        assert ray.get_runtime_context().get_session_name() == standing
        ray.shutdown()


def test_disconnecting_leaves_a_session_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.warns(DeprecationWarning, match=r"skate.init\(\) takes"):
        context = ray.client("local").connect()
    context.disconnect()
    assert ray.is_initialized()
    ray.shutdown()


def test_a_module_may_bring_a_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_cloud.py").write_text(
        "from skate import ClientBuilder as Base\nclass ClientBuilder(Base):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = ray.client("other_cloud://somewhere")
    assert (type(made).__module__, made.address) == ("other_cloud", "somewhere")
    assert isinstance(made, ClientBuilder)


def test_addresses_that_can_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKATE_ADDRESS", raising=False)
    with pytest.raises(RuntimeError, match="Module: no_such_module does not exist"):
        ray.client("no_such_module://x")
    with pytest.raises(RuntimeError, match="does not have ClientBuilder"):
        ray.client("json://x")
    with pytest.raises(ValueError, match="Invalid address"):
        ray.client("http://127.0.0.1:8265")
    with pytest.raises(ConnectionError, match="another machine"):
        ray.init("ray://cluster.example.com:10001")
