"""`JobConfig`: the settings of a program as an object."""

from __future__ import annotations

from typing import Any

import pytest

from skate.job_config import JobConfig
from tests.support import run_code


def test_init_takes_namespace_and_environment_from_it() -> None:
    code = """
import os, skate
from skate.job_config import JobConfig
config = JobConfig(runtime_env={"env_vars": {"COLOUR": "red"}}, ray_namespace="study", metadata={"a": "b"})
with skate.init(num_cpus=1, job_config=config):
    print(skate.get_runtime_context().namespace, skate.get(skate.remote(lambda: os.environ["COLOUR"]).remote()))
"""
    assert run_code(code) == "study red\n"


def test_it_can_be_set_step_by_step() -> None:
    config = JobConfig()
    assert config.ray_namespace is None and config.metadata == {} and config.runtime_env == {}
    config.set_metadata("key", "value")
    config.set_ray_namespace("space")
    config.set_runtime_env({"pip": ["emoji"]}, validate=True)
    config.set_default_actor_lifetime("detached")
    assert (config.metadata, str(config.ray_namespace)) == ({"key": "value"}, "space")
    assert config.runtime_env["pip"]["packages"] == ["emoji"]
    assert config.default_actor_lifetime == "detached"


def test_it_can_come_from_json() -> None:
    config = JobConfig.from_json({"metadata": {"a": "b"}, "ray_namespace": "space", "client_job": True})
    assert config.ray_namespace == "space" and config.metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"jvm_options": ["-x"]}, ValueError, "jvm_options.*Java"),
        ({"code_search_path": ["/x"]}, ValueError, "code_search_path.*py_modules"),
        ({"metadata": {"a": 1}}, TypeError, "must be strings"),
        ({"ray_namespace": ""}, ValueError, "empty"),
        ({"ray_namespace": 1}, TypeError, "string"),
        ({"default_actor_lifetime": "long"}, ValueError, "must be 'detached' or 'non_detached'"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        JobConfig(**arguments)
