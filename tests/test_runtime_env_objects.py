"""`RuntimeEnv` and `RuntimeEnvConfig`: what they accept, complete and refuse."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from skate.runtime_env import RuntimeEnv, RuntimeEnvConfig


def test_fields_that_are_none_are_left_out() -> None:
    assert RuntimeEnv(env_vars=None, pip=None) == {}


def test_requirements_come_in_three_forms(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# a comment\nemoji\n\npendulum==3.0\n")
    listed = RuntimeEnv(pip=["emoji", "pendulum==3.0", "emoji"])
    assert listed["pip"] == {"packages": ["emoji", "pendulum==3.0"], "pip_check": False}
    assert RuntimeEnv(pip=str(file)) == listed
    assert (
        RuntimeEnv(pip={"packages": ["emoji", "pendulum==3.0"], "pip_check": True})["pip"]["pip_check"]
        is True
    )
    assert RuntimeEnv(uv=["emoji"]).uv_config()["packages"] == ["emoji"]


def test_it_says_what_is_in_it(tmp_path: Path) -> None:
    env = RuntimeEnv(
        working_dir=str(tmp_path), py_modules=["a"], pip=["b"], env_vars={"C": "1"}, plugin={"d": 1}
    )
    assert env.working_dir() == str(tmp_path) and env.has_working_dir()
    assert env.py_modules() == ["a"]
    assert env.has_pip() and not env.has_uv() and not env.has_conda()
    assert env.env_vars() == {"C": "1"}
    assert env.plugins() == [("plugin", {"d": 1})]
    assert RuntimeEnv(conda="name").conda_env_name() == "name"
    assert RuntimeEnv(conda={"dependencies": []}).conda_config() == '{"dependencies": []}'


def test_what_is_set_later_is_checked_too() -> None:
    env = RuntimeEnv()
    env["pip"] = ["emoji"]
    assert env.pip_config()["packages"] == ["emoji"]
    with pytest.raises(TypeError, match="env_vars"):
        env.set("env_vars", {"A": 1})


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"working_dir": 3}, TypeError, "`working_dir` must be a string"),
        ({"working_dir": "/no/such/directory"}, ValueError, "/no/such/directory is not a valid path"),
        ({"env_vars": {"A": 1}}, TypeError, r"env_vars.*must be of type Dict\[str, str\].*1"),
        ({"env_vars": ["A"]}, TypeError, "env_vars"),
        ({"pip": 3}, TypeError, r"pip.*must be of type str or List\[str\]"),
        ({"pip": "/no/such/file"}, ValueError, "requirements file"),
        ({"pip": {"version": "1"}}, ValueError, "can only have these fields"),
        ({"pip": {"pip_check": True}}, ValueError, "must include field 'packages'"),
        ({"pip": {"packages": ["a"], "pip_check": "x"}}, TypeError, "'pip_check'] must be of type bool"),
        ({"pip": {"packages": ["a"], "pip_version": 5}}, TypeError, "'pip_version'] must be of type str"),
        ({"uv": {"packages": ["a"], "uv_pip_install_options": "x"}}, TypeError, "must be of type list"),
        ({"uv": {"packages": 3}}, ValueError, "must be of type list"),
        ({"container": {"image": "x"}, "pip": ["a"]}, ValueError, "cannot be used together"),
        ({"pip": ["a"], "uv": ["b"]}, ValueError, "cannot be specified at the same time"),
        ({"pip": ["a"], "conda": "b"}, ValueError, "cannot be specified at the same time"),
        ({"py_modules": "a"}, TypeError, "`py_modules` must be a list of strings"),
        ({"excludes": "a"}, TypeError, "excludes"),
        ({"conda": 1}, TypeError, "conda"),
        ({"container": 1}, TypeError, "container"),
        ({"py_executable": 1}, TypeError, "py_executable"),
        ({"worker_process_setup_hook": 1}, TypeError, "worker_process_setup_hook"),
        ({"image_uri": "a", "pip": ["b"]}, ValueError, "image_uri.*cannot be used together"),
        ({"config": 3}, TypeError, "must be of type dict or RuntimeEnvConfig"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero or equals to -1"),
        ({"config": {"setup_timeout_seconds": "1"}}, TypeError, "must be of type int"),
        ({"config": {"eager_install": 1}}, TypeError, "must be a boolean"),
        ({"config": {"log_files": "a"}}, TypeError, "log_files"),
        ({"config": {"unknown": 1}}, ValueError, "unknown"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        RuntimeEnv(**fields)


def test_nothing_is_checked_on_request() -> None:
    assert RuntimeEnv(working_dir="/no/such/directory", _validate=False).working_dir() == "/no/such/directory"


def test_it_goes_through_json_and_pickle() -> None:
    env = RuntimeEnv(pip=["emoji"], env_vars={"A": "1"}, config={"setup_timeout_seconds": 5})
    again = RuntimeEnv.deserialize(env.serialize())
    assert again == env and isinstance(again["config"], RuntimeEnvConfig)
    for other in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert other == env and isinstance(other, RuntimeEnv)
    assert type(env.to_dict()["config"]) is dict


def test_a_field_can_be_had_as_an_object() -> None:
    env = RuntimeEnv(config={"eager_install": False})
    assert env.get("config", data_class=RuntimeEnvConfig).to_dict()["eager_install"] is False
    assert env.get("pip") is None and env.get("pip", 1) == 1


def test_the_configuration_has_defaults() -> None:
    assert RuntimeEnvConfig.default_config() == {
        "setup_timeout_seconds": 600,
        "eager_install": True,
        "log_files": [],
    }
    assert RuntimeEnvConfig(setup_timeout_seconds=-1)["setup_timeout_seconds"] == -1
