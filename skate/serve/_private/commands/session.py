"""Commands about an instance that stands: start, deploy, status, config, shutdown."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import yaml

from skate.serve import api
from skate.serve._private import config_files
from skate.serve._private.commands.target import CommandError, SessionTarget, add_address, is_config, target
from skate.serve.schema import ServeInstanceDetails

_NOT_RUNNING = "There is no Serve instance running."


def add(commands: Any) -> None:
    """Add the parsers."""
    _add_start(commands)
    _add_deploy(commands)
    status = commands.add_parser("status", help="how applications and deployments are")
    add_address(status)
    status.add_argument("--name", "-n", help="one application only")
    status.add_argument("--watch", "-w", action="store_true", help="show it anew each second, until Ctrl-C")
    status.set_defaults(act=_status)
    config = commands.add_parser("config", help="the configs that applications were deployed from")
    add_address(config)
    config.add_argument("--name", "-n", help="one application only")
    config.set_defaults(act=_config)
    shutdown = commands.add_parser("shutdown", help="delete all applications and end Serve")
    add_address(shutdown)
    shutdown.add_argument("--yes", "-y", action="store_true", help="do not ask")
    shutdown.set_defaults(act=_shutdown)


def _add_start(commands: Any) -> None:
    start = commands.add_parser("start", help="start Serve in the session that stands")
    start.add_argument("--address", "-a", help="the session; default: the one that stands")
    start.add_argument("--http-host", default="127.0.0.1", help="the address to listen on")
    start.add_argument("--http-port", type=int, default=8000, help="the port")
    start.add_argument("--proxy-location", default="EveryNode", choices=["Disabled", "HeadOnly", "EveryNode"])
    start.add_argument("--grpc-port", type=int, default=9000, help="the port for gRPC")
    start.add_argument(
        "--grpc-servicer-functions",
        action="append",
        default=[],
        help="import path of an add_…Servicer_to_server",
    )
    start.add_argument("--grpc-enable-reflection", dest="grpc_reflection", action="store_true", default=True)
    start.add_argument("--grpc-disable-reflection", dest="grpc_reflection", action="store_false")
    start.add_argument(
        "--rest-port", type=int, help="listen for the REST API on this port; default: not at all"
    )
    start.add_argument("--rest-host", default="127.0.0.1", help="the address that the REST API listens on")
    start.set_defaults(act=_start)


def _add_deploy(commands: Any) -> None:
    deploy = commands.add_parser("deploy", help="have Serve run what a config file or an import path says")
    deploy.add_argument("config_or_import_path", help="a config file, or module:application")
    deploy.add_argument("arguments", nargs="*", help="key=value, for a function that makes the application")
    deploy.add_argument("--runtime-env", help="a YAML file with the environment of an import path")
    deploy.add_argument("--runtime-env-json", help="the same, as JSON")
    deploy.add_argument("--working-dir", help="where the code is")
    deploy.add_argument("--name", help="the application's name, for an import path")
    add_address(deploy)
    deploy.set_defaults(act=_deploy)


def environment(given: argparse.Namespace) -> dict[str, Any]:
    """The runtime environment that options ask for.

    Raises:
        CommandError: two options contradict each other.
    """
    if given.runtime_env and given.runtime_env_json:
        raise CommandError("Only one of --runtime-env and --runtime-env-json can be provided.")
    found: dict[str, Any] = {}
    if given.runtime_env:
        with open(given.runtime_env, encoding="utf-8") as file:
            found = yaml.safe_load(file) or {}
    elif given.runtime_env_json:
        found = json.loads(given.runtime_env_json)
    if given.working_dir:
        if "working_dir" in found:
            raise CommandError("working_dir is given twice: by --working-dir and by the runtime environment.")
        found["working_dir"] = given.working_dir
    return found


def pairs(texts: list[str]) -> dict[str, str]:
    """Arguments of the form key=value.

    Raises:
        CommandError: one has another form.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"{text!r}: arguments are written key=value.")
        found[key] = value
    return found


def config_of(given: argparse.Namespace) -> dict[str, Any]:
    """The config that a file or an import path stands for."""
    named = given.config_or_import_path
    if is_config(named):
        if given.arguments:
            raise CommandError("Application arguments cannot be specified for a config file.")
        return config_files.read_config(named).model_dump(mode="json", exclude_unset=True)
    app: dict[str, Any] = {
        "import_path": named,
        "runtime_env": environment(given),
        "args": pairs(given.arguments),
    }
    if given.name:
        app["name"] = given.name
    return {"applications": [app]}


def _start(given: argparse.Namespace) -> int:
    SessionTarget(given.address)
    api.start(
        proxy_location=given.proxy_location,
        http_options={"host": given.http_host, "port": given.http_port},
        grpc_options={
            "port": given.grpc_port,
            "grpc_servicer_functions": given.grpc_servicer_functions,
            "enable_reflection": given.grpc_reflection,
        },
    )
    if given.rest_port is not None:
        from skate.serve import rest

        host, port = rest.start(given.rest_host, given.rest_port)
        print(f"The REST API listens on http://{host}:{port}. Its token is in {rest.token_path()}.")
    return 0


def _deploy(given: argparse.Namespace) -> int:
    target(given.address).deploy(config_of(given))
    print(
        "Sent deploy request successfully.\n"
        " * Use `serve status` to check applications' statuses.\n"
        " * Use `serve config` to see the current application config(s)."
    )
    return 0


def _status(given: argparse.Namespace) -> int:
    reached = target(given.address)
    if given.watch:
        return _watch(reached, given.name)
    print(_status_text(reached.details(), given.name), end="")
    return 0


def _watch(reached: Any, name: str | None) -> int:
    import time

    try:
        while True:
            text = _status_text(reached.details(), name)
            print(f"\x1b[2J\x1b[H{text}", end="", flush=True)
            time.sleep(1)
    except KeyboardInterrupt:
        return 0


def _status_text(details: ServeInstanceDetails, name: str | None) -> str:
    status = details.model_dump(mode="json", exclude_unset=True)
    apps = {key: _app_status(app) for key, app in status["applications"].items()}
    if name is not None:
        return str(yaml.safe_dump(apps.get(name, {}), default_flow_style=False, sort_keys=False))
    found = {
        "proxies": {key: proxy["status"] for key, proxy in status["proxies"].items()},
        "applications": apps,
        "target_capacity": status["target_capacity"],
    }
    return str(yaml.safe_dump(found, default_flow_style=False, sort_keys=False))


def _app_status(app: dict[str, Any]) -> dict[str, Any]:
    deployments = {}
    for key, deployment in app["deployments"].items():
        counts: dict[str, int] = {}
        for replica in deployment["replicas"]:
            counts[replica["state"]] = counts.get(replica["state"], 0) + 1
        deployments[key] = {
            "status": deployment["status"],
            "status_trigger": deployment["status_trigger"],
            "replica_states": counts,
            "message": deployment["message"],
        }
    return {
        "status": app["status"],
        "message": app["message"],
        "last_deployed_time_s": app["last_deployed_time_s"],
        "deployments": deployments,
    }


def _config(given: argparse.Namespace) -> int:
    details = target(given.address).details()
    configs = {
        name: app.deployed_app_config.model_dump(mode="json", exclude_unset=True)
        for name, app in details.applications.items()
        if app.deployed_app_config is not None
    }
    if given.name is not None:
        if given.name not in configs:
            print(f'No config has been deployed for application "{given.name}".')
            return 0
        print(yaml.safe_dump(configs[given.name], sort_keys=False), end="")
        return 0
    if not configs:
        print("No configuration was found.")
        return 0
    print("\n---\n\n".join(yaml.safe_dump(config, sort_keys=False) for config in configs.values()), end="")
    return 0


def _shutdown(given: argparse.Namespace) -> int:
    if not given.yes:
        print("This deletes all applications and ends Serve. Go on? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("Nothing was done.")
            return 1
    target(given.address).shutdown()
    print("Sent shutdown request; applications will be deleted asynchronously.")
    return 0
