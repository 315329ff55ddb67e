"""`skate.compat.install`: `ray` is Skate, in the driver and in its workers."""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import importlib.util
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cloudpickle
import pytest

import skate
import skate.compat
import skate.exceptions
import skate.util.queue
from tests.support import REPO, run_code, run_python


@pytest.fixture
def ray() -> Iterator[Any]:
    skate.compat.install()
    yield importlib.import_module("ray")
    skate.compat.uninstall()


def test_submodules_are_the_very_same_modules(ray: Any) -> None:
    queue = importlib.import_module("ray.util.queue")
    assert queue is skate.util.queue
    assert ray.util is skate.util
    assert queue.__name__ == "skate.util.queue"
    assert importlib.util.find_spec("skate.util.queue") is queue.__spec__


def test_classes_are_the_same_so_isinstance_and_pickles_hold(ray: Any) -> None:
    error = ray.exceptions.GetTimeoutError("late")
    assert isinstance(error, skate.exceptions.GetTimeoutError)
    assert type(pickle.loads(pickle.dumps(error))) is skate.exceptions.GetTimeoutError
    by_ray_name = b"cray.exceptions\nGetTimeoutError\n."
    assert pickle.loads(by_ray_name) is skate.exceptions.GetTimeoutError


def test_the_module_ray_reads_the_version_that_is_matched(ray: Any) -> None:
    assert ray.__version__ == skate.compat.RAY_VERSION == "2.60.0"
    assert importlib.metadata.version("ray") == "2.60.0"
    assert skate.__version__ == importlib.metadata.version("skate") != "2.60.0"
    assert ray.__name__ == ray.__spec__.name == "ray"
    assert Path(ray.__file__) == Path(skate.__file__ or "")


def test_every_name_of_skate_is_one_of_ray(ray: Any) -> None:
    namespace: dict[str, Any] = {}
    exec("from ray import *", namespace)
    for name in set(skate.__all__) - {"__version__"}:
        assert getattr(ray, name) is getattr(skate, name) is namespace[name]


def test_the_module_ray_can_be_pickled_and_copied(ray: Any) -> None:
    assert pickle.loads(pickle.dumps(ray)) is ray
    assert cloudpickle.loads(cloudpickle.dumps(ray)) is ray
    assert copy.deepcopy(ray) is ray


def test_what_is_set_on_ray_is_set_on_skate(ray: Any) -> None:
    get = skate.get
    with mock.patch("ray.get") as replaced:
        assert skate.get is replaced is ray.get
    assert skate.get is ray.get is get
    ray.note = 1
    assert skate.note == 1
    del ray.note
    assert not hasattr(skate, "note") and not hasattr(ray, "note")


@pytest.mark.parametrize("name", ["ray", "ray.util", "ray.util.queue"])
def test_modules_can_be_loaded_lazily(name: str) -> None:
    code = f"""
import importlib.util, sys, skate.compat
skate.compat.install()
spec = importlib.util.find_spec({name!r})
spec.loader = importlib.util.LazyLoader(spec.loader)
module = sys.modules[{name!r}] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert "skate.util.queue" not in sys.modules
import skate.util.queue
own = sys.modules[{name.replace("ray", "skate", 1)!r}]
assert module.Queue is own.Queue if {name!r}.endswith("queue") else module.ActorPool if {name!r}.endswith("util") else module.get
import ray.util.queue
assert ray.util.queue.Queue is skate.util.queue.Queue
assert ray.get is skate.get
print(type(module).__name__, ray.__version__)
"""
    assert run_code(code) == "SharedModule 2.60.0\n"


@pytest.mark.parametrize("name", ["core", "engine", "compat", "cli"])
def test_parts_that_are_no_part_of_the_api_stay_hidden(ray: Any, name: str) -> None:
    assert not hasattr(ray, name)
    with pytest.raises(ModuleNotFoundError, match=f"No module named 'ray.{name}'"):
        importlib.import_module(f"ray.{name}")


def test_missing_names_say_where_they_are_listed(ray: Any) -> None:
    listed = r'"Names that will not come" in docs/compatibility.md'
    with pytest.raises(AttributeError, match=rf"module 'ray' has no attribute 'rllib'.*{listed}"):
        _ = ray.rllib
    with pytest.raises(ModuleNotFoundError, match=rf"No module named 'ray.rllib'.*{listed}"):
        importlib.import_module("ray.rllib")
    with pytest.raises(ImportError, match=rf"'ray.rllib'.*{listed}"):
        exec("from ray import rllib")
    with pytest.raises(AttributeError, match="Names that are not there yet"):
        _ = ray.no_such_name


def test_every_section_that_messages_name_is_on_the_page() -> None:
    from skate.compat._missing import _SECTIONS, PAGE, section

    page = (REPO / PAGE).read_text()
    for heading in {*_SECTIONS.values(), section("ray.anything")}:
        assert f"\n## {heading}\n" in page


def test_installing_twice_is_installing_once() -> None:
    before = list(sys.meta_path)
    skate.compat.install()
    skate.compat.install()
    assert skate.compat.installed()
    skate.compat.uninstall()
    assert sys.meta_path == before
    assert not skate.compat.installed()
    skate.compat.uninstall()
    assert importlib.util.find_spec("ray") is None
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("ray")


def test_it_refuses_once_ray_itself_is_there(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import ray, skate.compat; skate.compat.install()"
    )
    finished = run_python("-c", code)
    assert finished.returncode == 1
    assert f"RuntimeError: Ray itself has been imported already ({tmp_path / 'ray.py'})" in finished.stderr


def test_it_comes_before_a_ray_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("raise SystemError")
    (tmp_path / "ray" / "rllib.py").write_text("raise SystemError")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import skate.compat; skate.compat.install()
import ray
print(ray.__version__)
try: import ray.rllib
except ModuleNotFoundError: print("not there")
"""
    assert run_code(code).split("\n") == ["2.60.0", "not there", ""]


def test_it_refuses_while_a_session_runs_whose_workers_would_not_know() -> None:
    code = """
import skate, skate.compat
skate.init(num_cpus=1)
try: skate.compat.install()
except RuntimeError as error: print(error)
skate.shutdown()
skate.compat.install()
"""
    assert "before skate.init()" in run_code(code)


_SESSION = """
import sys, skate.compat
skate.compat.install()
import ray
import ray.util.queue

@ray.remote
def look(depth):
    import skate, ray.util.queue
    assert ray.__version__ == "2.60.0" and ray.get is skate.get
    assert sys.modules["ray.util.queue"] is skate.util.queue
    return [ray.__version__, *(ray.get(look.remote(depth - 1)) if depth else [])]

@ray.remote
class Actor:
    def ask(self, queue):
        assert isinstance(queue, ray.util.queue.Queue)
        queue.put(ray.get(look.remote(0)))
        raise ray.exceptions.GetTimeoutError("as asked")

ray.init(num_cpus=2, **OPTIONS)
queue = ray.util.queue.Queue()
try: ray.get(Actor.remote().ask.remote(queue))
except ray.exceptions.GetTimeoutError as error: assert isinstance(error, ray.exceptions.RayTaskError)
print(ray.get(look.remote(2)), queue.get())
ray.shutdown()
"""


@pytest.mark.parametrize(
    "options", ["{}", "{'local_mode': True}", "{'preload': ['ray.util.queue']}", "{'engine': 'dask'}"]
)
def test_workers_have_it_when_the_driver_has(options: str) -> None:
    printed = run_code(_SESSION.replace("OPTIONS", options))
    assert printed == "['2.60.0', '2.60.0', '2.60.0'] ['2.60.0']\n"


def test_workers_do_not_have_it_when_the_driver_does_not() -> None:
    code = """
import skate, sys
@skate.remote
def look(): return "ray" in sys.modules or "skate.compat" in sys.modules
print(skate.get(look.remote()))
"""
    assert run_code(code) == "False\n"
