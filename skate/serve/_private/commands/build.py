"""serve build: write a config file for applications."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import yaml

from skate.serve._private import config_files

_HEADER = """\
# This file was generated using the `serve build` command: edit it, then run it with `serve run` or `serve deploy`.

"""


def add(commands: Any) -> None:
    """Add the parser."""
    build = commands.add_parser("build", help="write a config file for applications")
    build.add_argument("import_paths", nargs="+", help="module:application")
    build.add_argument("--app-dir", "-d", default=".", help="where modules are looked for")
    build.add_argument("--output-path", "-o", help="the file to write; default: standard output")
    build.add_argument(
        "--grpc-servicer-functions",
        action="append",
        default=[],
        help="import path of an add_…Servicer_to_server",
    )
    build.add_argument("--grpc-enable-reflection", dest="grpc_reflection", action="store_true", default=None)
    build.add_argument("--grpc-disable-reflection", dest="grpc_reflection", action="store_false")
    build.set_defaults(act=_build)


def _build(given: argparse.Namespace) -> int:
    sys.path.insert(0, os.path.abspath(given.app_dir))
    config = config_files.config_of(given.import_paths)
    config["grpc_options"]["grpc_servicer_functions"] = given.grpc_servicer_functions
    if given.grpc_reflection is not None:
        config["grpc_options"]["enable_reflection"] = given.grpc_reflection
    text = yaml.safe_dump(config, sort_keys=False)
    if given.output_path:
        if not given.output_path.endswith((".yaml", ".yml")):
            raise config_files.ConfigError("FILE_PATH must end with '.yaml'.")
        with open(given.output_path, "w", encoding="utf-8") as file:
            file.write(_HEADER + text)
    else:
        print(_HEADER + text, end="")
    return 0
