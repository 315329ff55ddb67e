"""Logging of Serve's processes, and access lines."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from skate.serve._private.constants import SERVE_LOGGER_NAME
from skate.serve.context import _serve_request_context
from skate.serve.schema import LoggingConfig

logger = logging.getLogger(SERVE_LOGGER_NAME)
access = logging.getLogger(f"{SERVE_LOGGER_NAME}.access")


class _Formatter(logging.Formatter):
    """A line, as text or JSON, with the request that it belongs to."""

    def __init__(self, as_json: bool, component: str, replica: str, extra: list[str]) -> None:
        super().__init__()
        self._as_json = as_json
        self._component = component
        self._replica = replica
        self._extra = extra

    def format(self, record: logging.LogRecord) -> str:
        request = _serve_request_context.get()
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        extra = {name: getattr(record, name, None) for name in self._extra}
        when = self.formatTime(record)
        if not self._as_json:
            words = [record.levelname, when, self._component, self._replica, request.request_id]
            words += [str(value) for value in extra.values()]
            return f"{' '.join(word for word in words if word)} -- {message}"
        line: dict[str, Any] = {
            "levelname": record.levelname,
            "asctime": when,
            "component_name": self._component,
            "replica": self._replica,
            "message": message,
            **extra,
        }
        if request.request_id:
            line["request_id"] = request.request_id
        if request.route:
            line["route"] = request.route
        return json.dumps(line, default=str)


def configure(config: LoggingConfig | None, component: str, replica: str) -> None:
    """Log as configured. Without a configuration, warnings and errors go to stderr and there are no access lines."""
    chosen = config or LoggingConfig()
    handler: logging.Handler
    if chosen.logs_dir:
        os.makedirs(chosen.logs_dir, exist_ok=True)
        handler = logging.FileHandler(os.path.join(chosen.logs_dir, f"{component}_{replica}.log"))
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Formatter(chosen.encoding == "JSON", component, replica, chosen.additional_log_standard_attrs)
    )
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(chosen.log_level if config is not None else logging.WARNING)
    access.setLevel(logging.INFO if config is not None and chosen.enable_access_log else logging.CRITICAL)


def access_line(method: str, path: str, status: int | str, seconds: float) -> None:
    """One request, if access lines are on."""
    if access.isEnabledFor(logging.INFO):
        access.info("%s %s %s %.1fms", method, path, status, seconds * 1000)
