"""The command `serve`, and the REST API that it can speak to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from skate import serve
from skate.serve import rest
from skate.serve._private.rest.token import make_token, read_token
from skate.serve.scripts import main
from tests.leaks import guard
from tests.serve.conftest import address, until

PROGRAM = """
from skate import serve

@serve.deployment
class Word:
    def __init__(self, word):
        self.word = word
    def __call__(self, request):
        return self.word

def make(args):
    return Word.bind(args.get("word", "plain"))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "word_program.py").write_text(PROGRAM)
    app = {
        "name": "words",
        "route_prefix": "/words",
        "import_path": "word_program:make",
        "args": {"word": "from a file"},
        "runtime_env": {"env_vars": {"PYTHONPATH": str(tmp_path)}},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"applications": [app]}))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def running(name: str) -> bool:
    app = serve.status().applications.get(name)
    return app is not None and app.status == "RUNNING"


def test_deploy_status_config_and_shutdown(
    instance: None, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Sent deploy request successfully" in printed(capsys, "deploy", str(config))
    until(lambda: running("words"))
    assert httpx.get(f"{address()}/words").text == "from a file"
    status = yaml.safe_load(printed(capsys, "status"))
    deployment = status["applications"]["words"]["deployments"]["Word"]
    assert (deployment["status"], deployment["replica_states"]) == ("HEALTHY", {"RUNNING": 1})
    assert list(status["proxies"].values()) == ["HEALTHY"]
    assert yaml.safe_load(printed(capsys, "status", "-n", "words"))["status"] == "RUNNING"
    assert yaml.safe_load(printed(capsys, "config"))["args"] == {"word": "from a file"}
    assert "No config" in printed(capsys, "config", "-n", "other")
    printed(capsys, "shutdown", "-y")
    assert serve.status().applications == {}
    assert yaml.safe_load(printed(capsys, "status"))["applications"] == {}


def test_deploy_of_an_import_path(instance: None, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = f'{{"env_vars": {{"PYTHONPATH": "{config.parent}"}}}}'
    printed(
        capsys, "deploy", "word_program:make", "word=given", "--name", "w", "--runtime-env-json", environment
    )
    until(lambda: running("w"))
    assert httpx.get(address()).text == "given"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy", "nothing"], "import path"),
        (["deploy", "a:b", "word"], "key=value"),
        (["deploy", "a:b", "--runtime-env", "x", "--runtime-env-json", "{}"], "Only one of"),
        (["status", "-a", "http://127.0.0.1:1"], "can't be reached"),
        (["build", "a:b", "-o", "file.txt"], "No module named 'a'"),
    ],
)
def test_what_is_wrong_is_said(
    instance: None, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert words in capsys.readouterr().err


@pytest.fixture
def api(session: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the REST API, in a session without an instance."""
    with guard.window():
        monkeypatch.setenv("SKATE_AUTH_TOKEN", "the token")
        host, port = rest.start(port=0)
        yield f"http://{host}:{port}"
        rest.stop()
        serve.shutdown()


def ask(api: str, method: str, path: str = "/api/serve/applications/", **options: Any) -> httpx.Response:
    return httpx.request(
        method, api + path, headers={"authorization": "Bearer the token"}, timeout=30, **options
    )


def test_the_rest_api_deploys_shows_and_withdraws(api: str, config: Path) -> None:
    assert ask(api, "GET").json()["applications"] == {}
    given = yaml.safe_load(config.read_text())
    given["http_options"] = {"port": 0}
    assert ask(api, "PUT", json=given).status_code == 200
    found = until(
        lambda: (
            app
            if (app := ask(api, "GET").json()["applications"].get("words", {})).get("status") == "RUNNING"
            else None
        )
    )
    assert found["deployed_app_config"]["import_path"] == "word_program:make"
    assert found["source"] == "declarative"
    assert found["deployments"]["Word"]["replicas"][0]["state"] == "RUNNING"
    assert httpx.get(f"{address()}/words").text == "from a file"
    assert ask(api, "DELETE").status_code == 200
    assert ask(api, "GET").json()["applications"] == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "no JSON"),
        ('{"applications": [{"name": "a"}]}', "import_path"),
        ('{"applications": [{"import_path": "a:b"}, {"import_path": "c:d"}]}', "multiple configs"),
    ],
)
def test_the_rest_api_refuses_what_is_no_config(api: str, body: str, words: str) -> None:
    answer = ask(api, "PUT", content=body)
    assert answer.status_code == 400
    assert words in answer.text


def test_the_rest_api_wants_its_token(api: str) -> None:
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic the token"}):
        answer = httpx.get(f"{api}/api/serve/applications/", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_rest_api_has_one_token(api: str) -> None:
    with pytest.raises(ValueError, match="another token"):
        rest.start(token="another")
    assert rest.start(token="the token") == rest.start()


def test_a_token_that_is_made_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SKATE_AUTH_TOKEN", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "token"
    path.touch(mode=0o644)  # an empty one, which others may open
    monkeypatch.setenv("SKATE_AUTH_TOKEN_PATH", str(path))
    made = make_token()
    assert len(made) > 30
    assert (made, made) == (make_token(), read_token())
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_config_that_is_refused_changes_nothing(api: str, config: Path) -> None:
    given = yaml.safe_load(config.read_text()) | {"http_options": {"port": 0}}
    assert ask(api, "PUT", json=given).status_code == 200
    until(lambda: running("words"))
    serve.run(serve.deployment(lambda request: "mine").bind(), name="mine", route_prefix="/mine")
    given["applications"][0] |= {"name": "others", "route_prefix": "/mine"}
    refused = ask(api, "PUT", json=given)
    assert (refused.status_code, "/mine is being used" in refused.text) == (400, True)
    assert running("words")
    assert httpx.get(f"{address()}/words").text == "from a file"


def test_replicas_are_scaled_from_outside(api: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = yaml.safe_load(config.read_text())
    given["http_options"] = {"port": 0}
    given["applications"][0]["external_scaler_enabled"] = True
    ask(api, "PUT", json=given)
    until(lambda: running("words"))
    path = "/api/v1/applications/words/deployments/Word/scale"
    assert ask(api, "POST", path, json={"target_num_replicas": 2}).status_code == 200
    until(lambda: "RUNNING: 2" in printed(capsys, "status"))
    assert ask(api, "POST", path, json={"target_num_replicas": -1}).status_code == 400
    assert ask(api, "POST", path.replace("Word", "Other"), json={"target_num_replicas": 1}).status_code == 404


def test_commands_speak_to_the_rest_api(api: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = yaml.safe_load(config.read_text()) | {"http_options": {"port": 0}}
    config.write_text(yaml.safe_dump(text))
    printed(capsys, "deploy", str(config), "-a", api)
    until(lambda: running("words"))
    assert (
        yaml.safe_load(printed(capsys, "status", "-a", api))["applications"]["words"]["status"] == "RUNNING"
    )
    printed(capsys, "shutdown", "-y", "-a", api)
    assert serve.status().applications == {}


def test_a_changed_file_is_deployed_again(tmp_path: Path) -> None:
    (tmp_path / "word_program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from skate.serve.scripts import main; raise SystemExit(main())"),
            *("run", "word_program:make", "-d", str(tmp_path), "-p", "0", "--reload"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        where = next(lines).split()[3].rstrip(".")
        assert httpx.get(where).text == "plain"
        (tmp_path / "word_program.py").write_text(PROGRAM.replace("plain", "changed"))
        assert any("Deployed again" in line for line in lines)
        assert httpx.get(where).text == "changed"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
