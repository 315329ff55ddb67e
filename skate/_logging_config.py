"""`LoggingConfig`: how the driver and every worker log, with the ids of the task that does."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from typing import Any

_ENCODINGS = ("TEXT", "JSON")
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTEXT_FIELDS = (
    *("job_id", "worker_id", "node_id", "actor_id", "task_id"),
    *("task_name", "task_func_name", "actor_name"),
)


@dataclass
class LoggingConfig:
    """How the root logger of the driver and of every worker is set up, when passed as `init(logging_config=…)`.

    Args:
        encoding: "TEXT" for a line for people, "JSON" for an object a line. Both end with the ids of job, worker, task and actor.
        log_level: The least level that is shown.
        additional_log_standard_attrs: Further attributes of `logging.LogRecord` to show, such as "name".

    Raises:
        ValueError: the encoding or an attribute is not known.

    Example:
        >>> LoggingConfig(encoding="JSON").log_level
        'INFO'
    """

    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in _ENCODINGS:
            raise ValueError(
                f"Invalid encoding type: {self.encoding}. Valid encoding types are: {list(_ENCODINGS)}."
            )
        for name in self.additional_log_standard_attrs:
            if name not in _RECORD_FIELDS:
                raise ValueError(
                    f"Unknown python logging standard attribute: {name}. The valid attributes are: {sorted(_RECORD_FIELDS)}."
                )

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dictionary."""
        return {
            "encoding": self.encoding,
            "log_level": self.log_level,
            "additional_log_standard_attrs": list(self.additional_log_standard_attrs),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> LoggingConfig:
        """The settings that `to_dict` gave."""
        return cls(**d)


def configure(settings: dict[str, Any]) -> None:
    """Set up the root logger of this process as a `LoggingConfig` says."""
    config = LoggingConfig.from_dict(settings)
    handler = _ToStderr()
    make = _Json if config.encoding == "JSON" else _Text
    handler.setFormatter(make(tuple(config.additional_log_standard_attrs)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log_level.upper())


class _ToStderr(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at the time: a worker's is put in place after this was made."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


class _Formatter(logging.Formatter):
    def __init__(self, more: tuple[str, ...]) -> None:
        super().__init__("%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s")
        self.more = more

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """The asked-for attributes, what the program added with `extra=`, and where the record was made."""
        found = {name: getattr(record, name, None) for name in self.more}
        found.update({name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS})
        found.update(_context())
        found["timestamp_ns"] = time.time_ns()
        return found


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return " ".join([text, *(f"{name}={value}" for name, value in self.fields(record).items())])


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        found = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "message": record.getMessage(),
            "filename": record.filename,
            "lineno": record.lineno,
            "process": record.process,
        }
        if record.exc_info:
            found["exc_text"] = self.formatException(record.exc_info)
        return json.dumps({**found, **self.fields(record)}, default=str)


def _context() -> dict[str, Any]:
    """Job, worker, node, and the task and actor that log; empty without a session."""
    import skate

    if not skate.is_initialized():
        return {}
    context = skate.get_runtime_context()
    values = (
        *(context.get_job_id(), context.get_worker_id(), context.get_node_id(), context.get_actor_id()),
        *(context.get_task_id(), context.get_task_name(), context.get_task_function_name()),
        context.get_actor_name(),
    )
    return {name: value for name, value in zip(_CONTEXT_FIELDS, values, strict=True) if value}
