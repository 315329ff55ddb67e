"""How a command reaches a Serve instance: by joining its session, or over its REST API."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any, Protocol

import skate
from skate.serve import api
from skate.serve._private import client, config_files
from skate.serve._private.rest.app import NOTHING
from skate.serve._private.rest.token import read_token
from skate.serve.schema import ServeDeploySchema, ServeInstanceDetails

_PATH = "/api/serve/applications/"


class CommandError(Exception):
    """A command can't do what it was asked for; the message says why."""


def is_config(named: str) -> bool:
    """Whether a config file is named, and no import path.

    Raises:
        CommandError: it can be nothing but a file, and there is none.
    """
    if os.path.isfile(named):
        return True
    if named.endswith((".yaml", ".yml")):
        raise CommandError(
            f"There is no file {named}. Name a config file, or an import path such as module:app."
        )
    return False


class Target(Protocol):
    """A Serve instance."""

    def deploy(self, config: dict[str, Any]) -> None:
        """Have it run what a config says; does not wait until it does."""

    def details(self) -> ServeInstanceDetails:
        """Everything about it."""

    def shutdown(self) -> None:
        """End it."""


class SessionTarget:
    """The instance of a session that this process joins."""

    def __init__(self, address: str | None) -> None:
        if not skate.is_initialized():
            try:
                skate.init(address=address or "auto", namespace="serve", log_to_driver=False)
            except ConnectionError as error:
                raise CommandError(
                    f"There is no session to talk to ({error}). Start one that stands with `skate start`, then this command again; or "
                    "serve from this shell with `serve run`."
                ) from error

    def deploy(self, config: dict[str, Any]) -> None:
        """See `Target.deploy`."""
        # What is imported from a shell is often in the folder that it is in.
        path = [os.getcwd(), *sys.path]
        config_files.deploy_config(ServeDeploySchema.model_validate(config), wait=False, path=path)

    def details(self) -> ServeInstanceDetails:
        """See `Target.details`."""
        controller = client.current()
        if controller is None:
            return NOTHING
        found: ServeInstanceDetails = skate.get(controller.instance_details.remote())
        return found

    def shutdown(self) -> None:
        """See `Target.shutdown`."""
        api.shutdown()


class RestTarget:
    """An instance's REST API at `address`."""

    def __init__(self, address: str) -> None:
        self._url = address.rstrip("/") + _PATH

    def _ask(self, method: str, body: Any = None) -> bytes:
        headers = {"content-type": "application/json"}
        token = read_token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                found: bytes = response.read()
                return found
        except urllib.error.HTTPError as error:
            words = error.read().decode(errors="replace")
            raise CommandError(f"{self._url} answered {error.code}: {words}") from error
        except OSError as error:
            raise CommandError(
                f"{self._url} can't be reached ({error}). Is the address right, and was Serve started there with "
                "`serve start --rest-port`?"
            ) from error

    def deploy(self, config: dict[str, Any]) -> None:
        """See `Target.deploy`."""
        self._ask("PUT", config)

    def details(self) -> ServeInstanceDetails:
        """See `Target.details`."""
        return ServeInstanceDetails.model_validate_json(self._ask("GET"))

    def shutdown(self) -> None:
        """See `Target.shutdown`."""
        self._ask("DELETE")


def add_address(parser: argparse.ArgumentParser) -> None:
    """The option that all commands share."""
    parser.add_argument(
        "--address",
        "-a",
        help="http://… for the REST API there, or a session's address; default: RAY_DASHBOARD_ADDRESS, else the session that stands",
    )


def target(address: str | None) -> Target:
    """What an address names."""
    chosen = address or os.environ.get("RAY_DASHBOARD_ADDRESS") or os.environ.get("RAY_AGENT_ADDRESS")
    if chosen and chosen.startswith(("http://", "https://")):
        return RestTarget(chosen)
    return SessionTarget(chosen)
