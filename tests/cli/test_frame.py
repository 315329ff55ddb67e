"""The command `skate` itself: its list of commands, its help, and what it loads."""

from __future__ import annotations

import importlib
import json

import pytest

import skate
from skate.cli import COMMANDS, main
from tests.support import run_code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_two_functions(name: str) -> None:
    module = importlib.import_module(f"skate.cli.{name.replace('-', '_')}")
    assert callable(module.add_arguments) and callable(module.run)
    assert (module.__doc__ or "").startswith(f"`skate {name}`: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"skate {name}" in capsys.readouterr().out


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"\n    {name}" in printed for name in COMMANDS)


def test_the_version_is_skates(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"skate {skate.__version__}\n"


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr().err
    assert all(f"\n    {name}" in printed for name in COMMANDS)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fly"])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_command_loads_only_itself() -> None:
    loaded = json.loads(
        run_code(
            "import json, sys\nfrom skate.cli import main\n"
            "try: main(['--version'])\nexcept SystemExit: pass\n"
            "sys.stdout.write(json.dumps(sorted(sys.modules)))"
        ).partition("\n")[2]
    )
    commands = {f"skate.cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert not commands & set(loaded)
