"""The command `serve`: run applications and config files from a shell."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import yaml

from skate.serve import api
from skate.serve._private import config_files

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `serve COMMAND …`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="serve", description="Models online.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="run an application or a config file until Ctrl-C")
    run.add_argument("target", help="module:application, module:function, or the path of a config file")
    run.add_argument("arguments", nargs="*", help="key=value, for a function that makes the application")
    run.add_argument("--app-dir", "-d", default=".", help="where modules are looked for")
    run.add_argument("--name", default="default", help="the application's name")
    run.add_argument("--route-prefix", default="/", help="where it is reached over HTTP")
    run.add_argument("--host", help="the address to listen on; default: 127.0.0.1")
    run.add_argument("--port", "-p", type=int, help="the port; default: 8000")
    build = commands.add_parser("build", help="write a config file for applications")
    build.add_argument("import_paths", nargs="+", help="module:application")
    build.add_argument("--app-dir", "-d", default=".", help="where modules are looked for")
    build.add_argument("--output-path", "-o", help="the file to write; default: standard output")
    given = parser.parse_args(arguments)
    sys.path.insert(0, os.path.abspath(given.app_dir))
    try:
        return _run(given) if given.command == "run" else _build(given)
    except (config_files.ConfigError, ImportError, AttributeError, TypeError, OSError, RuntimeError) as error:
        print(f"serve {given.command}: {error}", file=sys.stderr)
        return 1


def _run(given: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    http: dict[str, Any] = {
        key: value for key in ("host", "port") if (value := getattr(given, key)) is not None
    }
    try:
        if os.path.isfile(given.target):
            config = config_files.read_config(given.target)
            config.http_options = config.http_options.model_copy(update=http)
            config_files.deploy_config(config)
            names = [app.name for app in config.applications]
        else:
            args = dict(_pair(text) for text in given.arguments)
            app = config_files.load_application(given.target, args)
            api.start(http_options=http)
            api.run(app, name=given.name, route_prefix=given.route_prefix)
            names = [given.name]
        host, port = config_files.address()
        print(f"Running {', '.join(names)} on http://{host}:{port}. End it with Ctrl-C.", flush=True)
        stop.wait()
    finally:
        api.shutdown()
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found:
        raise TypeError(f"{text!r}: arguments are written key=value.")
    return key, value


def _build(given: argparse.Namespace) -> int:
    text = yaml.safe_dump(config_files.config_of(given.import_paths), sort_keys=False)
    if given.output_path:
        with open(given.output_path, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")
    return 0
