"""What Ray's `serve._private.api` has that programs import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skate.serve._private.config_files import make_application
from skate.serve.api import start
from skate.serve.deployment import Application


def call_user_app_builder_with_args_if_necessary(
    builder: Application | Callable[..., Application], args: dict[str, Any]
) -> Application:
    """The application itself, or what a function makes of `args`.

    Raises:
        TypeError: it is neither, takes more than one argument, or returns something else.
        ValueError: it is an application, and there are arguments.
    """
    return make_application(builder, args)


serve_start = start

__all__ = ["call_user_app_builder_with_args_if_necessary", "serve_start"]
