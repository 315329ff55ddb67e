"""serve run: an application or a config file, served by this process until Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
import traceback
from typing import Any

import skate
from skate.serve import api
from skate.serve._private import config_files
from skate.serve._private.commands.files import Files
from skate.serve._private.commands.session import environment, pairs
from skate.serve._private.commands.target import CommandError, is_config


def add(commands: Any) -> None:
    """Add the parser."""
    run = commands.add_parser("run", help="run an application or a config file until Ctrl-C")
    run.add_argument("config_or_import_path", help="module:application, module:function, or a config file")
    run.add_argument("arguments", nargs="*", help="key=value, for a function that makes the application")
    run.add_argument("--runtime-env", help="a YAML file with the environment")
    run.add_argument("--runtime-env-json", help="the same, as JSON")
    run.add_argument("--working-dir", help="where the code is")
    run.add_argument("--app-dir", "-d", default=".", help="where modules are looked for")
    run.add_argument(
        "--address", "-a", help="the session to run in; default: the one that stands, or one of its own"
    )
    run.add_argument(
        "--blocking", dest="blocking", action="store_true", default=True, help="stay until Ctrl-C"
    )
    run.add_argument("--non-blocking", dest="blocking", action="store_false", help="return once it runs")
    run.add_argument(
        "--reload",
        "-r",
        action="store_true",
        help="deploy again when a Python file in the working directory changes",
    )
    run.add_argument("--route-prefix", default="/", help="where it is reached over HTTP")
    run.add_argument("--name", default="default", help="the application's name")
    run.add_argument("--host", help="the address to listen on; default: 127.0.0.1")
    run.add_argument("--port", "-p", type=int, help="the port; default: 8000")
    run.set_defaults(act=_run)


def _run(given: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sys.path.insert(0, os.path.abspath(given.app_dir))
    of_config = is_config(given.config_or_import_path)
    if of_config and given.reload:
        raise CommandError(
            "--reload is for import paths: a config file's code is imported by its own environment."
        )
    if of_config and given.arguments:
        raise CommandError("Application arguments cannot be specified for a config file.")
    started = not skate.is_initialized()
    if started:
        skate.init(
            address=given.address,
            namespace="serve",
            runtime_env=None if of_config else environment(given) or None,
            preload=["skate.serve.preload"],
        )
    try:
        names = _deploy_config(given) if of_config else _deploy_app(given, reload=False)
        host, port = config_files.address() or ("", 0)
        where = f" on http://{host}:{port}" if host else ""
        print(
            f"Running {', '.join(names)}{where}.", "End it with Ctrl-C." if given.blocking else "", flush=True
        )
        if not given.blocking:
            return 0
        _wait(given, stop)
    finally:
        if given.blocking:
            api.shutdown()
    return 0


def _http(given: argparse.Namespace) -> dict[str, Any]:
    return {key: value for key in ("host", "port") if (value := getattr(given, key)) is not None}


def _deploy_config(given: argparse.Namespace) -> list[str]:
    config = config_files.read_config(given.config_or_import_path)
    config.http_options = config.http_options.model_copy(update=_http(given))
    config_files.deploy_config(config, path=[os.path.abspath(given.app_dir)])
    return [app.name for app in config.applications]


def _deploy_app(given: argparse.Namespace, reload: bool) -> list[str]:
    if reload:
        _forget_modules(os.path.abspath(given.working_dir or given.app_dir))
    app = config_files.load_application(given.config_or_import_path, dict(pairs(given.arguments)))
    api.start(http_options=_http(given))
    api.run(app, name=given.name, route_prefix=given.route_prefix)
    return [given.name]


def _wait(given: argparse.Namespace, stop: threading.Event) -> None:
    if not given.reload:
        stop.wait()
        return
    files = Files(os.path.abspath(given.working_dir or given.app_dir))
    while not stop.wait(0.3):
        changed = files.changed()
        if not changed:
            continue
        print(f"{', '.join(sorted(changed))} changed: deploying again.", flush=True)
        try:
            _deploy_app(given, reload=True)
        except Exception:  # noqa: BLE001 -- what was deployed goes on until the mistake is mended
            traceback.print_exc()
        else:
            print("Deployed again.", flush=True)


def _forget_modules(folder: str) -> None:
    """Have modules of the folder imported anew."""
    importlib.invalidate_caches()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and os.path.abspath(path).startswith(folder + os.sep) and name != "__main__":
            del sys.modules[name]
