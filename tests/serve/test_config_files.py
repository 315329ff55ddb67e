"""Config files and the command `serve`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import ValidationError

import skate
from skate import serve
from skate.serve._private import client
from skate.serve._private.common import ReplicaState
from skate.serve._private.config_files import ConfigError, _start_options, deploy_config, read_config
from skate.serve.schema import DeploymentSchema, ServeApplicationSchema, ServeDeploySchema
from skate.serve.scripts import main
from tests.serve.conftest import address, until
from tests.serve.test_faults import kill

PROGRAM = """
import os
from pydantic import BaseModel
from skate import serve

class Options(BaseModel):
    word: str = "hello"

@serve.deployment(user_config={"loud": False})
class Greeter:
    def __init__(self, word):
        self.word = word
    def reconfigure(self, config):
        self.loud = config["loud"]
    def __call__(self, request):
        return self.word.upper() if self.loud else self.word

app = Greeter.bind("plain")

def make(options: Options):
    return Greeter.bind(options.word)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "greeting_program.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("greeting_program", None)
    return tmp_path


def config(program: Path, word: str, loud: bool) -> ServeDeploySchema:
    text = f"""
applications:
  - name: one
    import_path: greeting_program:make
    args: {{word: {word}}}
    runtime_env: {{env_vars: {{PYTHONPATH: {program}}}}}
    deployments:
      - name: Greeter
        user_config: {{loud: {str(loud).lower()}}}
"""
    path = program / "config.yaml"
    path.write_text(text)
    return read_config(str(path))


def replica_ids() -> set[str]:
    details = skate.get(client.controller().instance_details.remote())
    return {replica.replica_id for replica in details.applications["one"].deployments["Greeter"].replicas}


def test_a_config_is_deployed_changed_and_withdrawn(instance: None, program: Path) -> None:
    deploy_config(config(program, "good", loud=True))
    assert httpx.get(address()).text == "GOOD"
    deploy_config(config(program, "better", loud=False))
    assert httpx.get(address()).text == "better"
    replicas = replica_ids()
    deploy_config(config(program, "better", loud=True))  # only user_config: the replica stays
    assert httpx.get(address()).text == "BETTER"
    assert replica_ids() == replicas
    deploy_config(ServeDeploySchema(applications=[]))
    assert "one" not in {
        name for name, app in serve.status().applications.items() if app.status != "DELETING"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aplications: []", r":1: unknown key 'aplications'. Did you mean 'applications'"),
        (
            "applications:\n- import_path: a:b\n  deployments:\n  - name: D\n    num_replica: 2",
            r":5: unknown key 'num_replica'. Did you mean 'num_replicas'",
        ),
        ("applications:\n- import_path: nothing", r":2: applications.0.import_path"),
        ("- 1", "a mapping"),
        ("{", "no YAML"),
    ],
)
def test_a_typo_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(str(path))


def test_a_module_that_raises_is_the_applications_message(instance: None, program: Path) -> None:
    (program / "broken_program.py").write_text("1 / 0")
    app = {
        "name": "one",
        "import_path": "broken_program:app",
        "runtime_env": {"env_vars": {"PYTHONPATH": str(program)}},
    }
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        deploy_config(ServeDeploySchema.model_validate({"applications": [app]}))
    assert "ZeroDivisionError" in serve.status().applications["one"].message
    deploy_config(config(program, "mended", loud=False))
    assert httpx.get(address()).text == "mended"


def test_a_part_of_the_capacity(instance: None, program: Path) -> None:
    given = config(program, "some", loud=False)
    given.applications[0].deployments[0].num_replicas = 4
    given.target_capacity = 50
    deploy_config(given)
    assert len(replica_ids()) == 2
    assert serve.status().target_capacity == 50


def test_a_controller_that_dies_goes_on_with_a_config(instance: None, program: Path) -> None:
    opened, begun = program / "open", program / "begun"
    (program / "slow_program.py").write_text(
        "import pathlib, time\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        f"while not pathlib.Path({str(opened)!r}).exists():\n    time.sleep(0.01)\n"
        "from greeting_program import make\n"
    )
    given = config(program, "slow", loud=False)
    given.applications[0].import_path = "slow_program:make"
    given.target_capacity = 50
    deploy_config(given, wait=False)
    until(begun.exists)
    until(lambda: serve.status().applications["one"].status == "DEPLOYING")
    kill(client.controller())
    opened.touch()
    until(lambda: serve.status().applications["one"].status == "RUNNING")
    assert httpx.get(address()).text == "slow"
    assert serve.status().target_capacity == 50


SCALED = """
from skate import serve

@serve.deployment(autoscaling_config={"min_replicas": 1, "max_replicas": 3, "upscale_delay_s": 0})
class Part:
    def __init__(self, *others):
        pass
    def record_autoscaling_stats(self):
        return {"wanted": 2}
    def __call__(self, request):
        return "ok"

app = Part.options(name="Front").bind(Part.options(name="Back").bind())

def as_all_want(contexts):
    assert len(contexts) == 2
    wanted = [by for context in contexts.values() for by in context.aggregated_metrics.get("wanted", {}).values()]
    return {key: max(wanted, default=1) for key in contexts}, None
"""


def test_one_policy_scales_an_application(instance: None, tmp_path: Path) -> None:
    (tmp_path / "scaled_program.py").write_text(SCALED)
    given: Any = {
        "name": "scaled",
        "import_path": "scaled_program:app",
        "autoscaling_policy": {"policy_function": "scaled_program:as_all_want"},
    }
    deploy_config(ServeDeploySchema(applications=[given]), path=[str(tmp_path)])

    def running() -> dict[str, int]:
        found = serve.status().applications["scaled"].deployments
        return {name: each.replica_states.get(ReplicaState.RUNNING, 0) for name, each in found.items()}

    until(lambda: running() == {"Front": 2, "Back": 2})
    given["autoscaling_policy"]["policy_function"] = "scaled_program:no_such"
    with pytest.raises(RuntimeError, match="no_such"):
        deploy_config(ServeDeploySchema(applications=[given]), path=[str(tmp_path)])
    assert running() == {"Front": 2, "Back": 2}


def test_limits_and_tokens_stand_in_a_config_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "http_options: {bearer_token: a, max_body_bytes: 9}\ngrpc_options: {bearer_token: b}\napplications: []\n"
    )
    options = _start_options(read_config(str(path)))
    assert (options["http_options"].bearer_token, options["http_options"].max_body_bytes) == ("a", 9)
    assert options["grpc_options"].bearer_token == "b"
    path.write_text("http_options:\n  bearer_tokn: a\napplications: []\n")
    with pytest.raises(
        ConfigError, match="config.yaml:2: unknown key 'bearer_tokn'. Did you mean 'bearer_token'"
    ):
        read_config(str(path))


def test_a_route_prefix_begins_with_a_slash() -> None:
    with pytest.raises(ValidationError, match="must start with a forward slash"):
        ServeApplicationSchema(name="a", import_path="m:a", route_prefix="a")
    assert ServeApplicationSchema(name="a", import_path="m:a", route_prefix=None).route_prefix is None


def test_a_number_of_replicas_is_no_other_word_than_auto() -> None:
    assert DeploymentSchema(name="d", num_replicas="auto").is_autoscaling_configured()
    with pytest.raises(ValidationError, match='must be an int or "auto", but got: many'):
        DeploymentSchema(name="d", num_replicas="many")


def test_build_writes_what_run_reads(program: Path) -> None:
    output = program / "built.yaml"
    assert main(["build", "greeting_program:app", "-d", str(program), "-o", str(output)]) == 0
    built = read_config(str(output))
    assert built.applications[0].deployments[0].user_config == {"loud": False}
    assert yaml.safe_load(output.read_text())["http_options"]["host"] == "127.0.0.1"


def test_run_serves_a_program_that_imports_ray_until_it_is_interrupted(program: Path) -> None:
    text = (program / "greeting_program.py").read_text()
    assert "from skate import serve" in text
    (program / "ray_program.py").write_text(text.replace("from skate import serve", "from ray import serve"))
    command = [sys.executable, "-c", "from skate.serve.scripts import main; raise SystemExit(main())"]
    process = subprocess.Popen(
        [*command, "run", "ray_program:make", "word=shell", "-d", str(program), "-p", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(program), os.getcwd()])},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert httpx.get(line.split()[3].rstrip(".")).text == "shell"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    process.stdout.close()


def test_a_wrong_target_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "no_such_module_anywhere:app"]) == 1
    assert "no_such_module_anywhere" in capsys.readouterr().err
    assert main(["run", "no_such_file_anywhere.yaml"]) == 1
    assert "There is no file no_such_file_anywhere.yaml" in capsys.readouterr().err
