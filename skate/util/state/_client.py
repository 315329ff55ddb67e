"""Asks one session for rows, filters them and makes objects of them."""

from __future__ import annotations

import dataclasses
import gc
import sys
from typing import Any

from skate import _state
from skate._version import RAY_VERSION as _RAY_VERSION
from skate.util.state import common as _common
from skate.util.state.common import (
    ActorSummaries,
    DriverInfo,
    GetApiOptions,
    Humanify,
    JobState,
    ListApiOptions,
    ObjectSummaries,
    StateResource,
    StateSchema,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
    TaskSummaries,
)
from skate.util.state.exception import RayStateApiException

Row = dict[str, Any]
Rows = list[Row]
Objects = list[Any]

_ID_COLUMNS = {
    StateResource.ACTORS: "actor_id",
    StateResource.JOBS: "job_id",
    StateResource.PLACEMENT_GROUPS: "placement_group_id",
    StateResource.NODES: "node_id",
    StateResource.WORKERS: "worker_id",
    StateResource.TASKS: "task_id",
    StateResource.OBJECTS: "object_id",
}


class StateApiClient:
    """Asks one session about its state.

    Args:
        address: The session's name or folder, or "auto"; default: this process's session, or the youngest of this user's.
        cookies: Accepted for Ray's programs.
        headers: Accepted for Ray's programs.

    Example:
        >>> import skate
        >>> from skate.util.state import StateApiClient
        >>> from skate.util.state.common import ListApiOptions, StateResource
        >>> with skate.init(num_cpus=1, ignore_reinit_error=True):
        ...     nodes = StateApiClient().list(StateResource.NODES, ListApiOptions(), raise_on_missing_output=True)
        >>> [node.state for node in nodes]
        ['ALIVE']
    """

    def __init__(
        self,
        address: str | None = None,
        cookies: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
    ) -> None:
        self._address = address

    def get_version(self) -> str:
        """The version of Ray whose API is matched."""
        return _RAY_VERSION

    def get_address(self) -> str | None:
        """The address that was given."""
        return self._address

    def list(
        self,
        resource: StateResource,
        options: ListApiOptions,
        raise_on_missing_output: bool,
        _explain: bool = False,
    ) -> Objects:
        """The rows of a kind that pass the filters, `options.limit` at most.

        Raises:
            RayStateApiException: a filter names no column, the limit is out of range, or, with `raise_on_missing_output`,
                a process could not be asked.
            ConnectionError: there is no such session.
        """
        schema = _common.SCHEMAS[resource]
        if not 0 <= options.limit <= _common.RAY_MAX_LIMIT_FROM_API_SERVER:
            raise RayStateApiException(
                f"Given limit {options.limit} exceeds the supported limit {_common.RAY_MAX_LIMIT_FROM_API_SERVER}, or is negative. Use "
                "another, or filter more."
            )
        known = schema.filterable_columns()
        for column, _predicate, _value in options.filters or ():
            if column not in known:
                raise RayStateApiException(
                    f"The given filter column {column} is not supported. Supported filter columns: {sorted(known)}."
                )
        collecting = gc.isenabled()
        gc.disable()  # a hundred thousand rows are made at once and none of them is garbage: looking for it costs half the time
        try:
            found = self._list(schema, resource, options, raise_on_missing_output, _explain)
        finally:
            if collecting:
                gc.enable()
        return found

    def _list(
        self,
        schema: type[StateSchema],
        resource: StateResource,
        options: ListApiOptions,
        strict: bool,
        explain: bool,
    ) -> Objects:
        rows = self._rows(resource, options.timeout, strict, explain)
        total = len(rows)
        for wanted in options.filters or ():
            rows = _filter(rows, *wanted)
        matching = len(rows)
        rows = rows[: options.limit]
        if explain and matching > len(rows):
            print(  # noqa: T201 -- asked for
                f"{matching} of {total} {resource.value} match; the first {len(rows)} are shown. Raise limit= to see more.",
                file=sys.stderr,
            )
        return _make(schema, rows, options.detail)

    def get(
        self, resource: StateResource, id: str, options: GetApiOptions | None, _explain: bool = False
    ) -> Any:
        """The row with that id, with all columns; None if there is none. For objects and retried tasks, a list.

        Raises:
            ConnectionError: there is no such session.
        """
        timeout = (options or GetApiOptions()).timeout
        column = _ID_COLUMNS[resource]
        rows = [row for row in self._rows(resource, timeout, False, _explain) if row[column] == id]
        found = _make(_common.SCHEMAS[resource], rows, True)
        if resource == StateResource.OBJECTS or len(found) > 1:
            return found
        return found[0] if found else None

    def summary(
        self,
        resource: SummaryResource,
        *,
        options: SummaryApiOptions,
        raise_on_missing_output: bool,
        _explain: bool = False,
    ) -> dict[str, Any]:
        """Counts by function, class or place, as a dictionary under "cluster".

        Raises:
            RayStateApiException: with `raise_on_missing_output`, a process could not be asked.
            ConnectionError: there is no such session.
        """
        kind = StateResource(resource.value)
        rows = self._rows(kind, options.timeout, raise_on_missing_output, _explain)
        for wanted in options.filters or ():
            rows = _filter(rows, *wanted)
        found: TaskSummaries | ActorSummaries | ObjectSummaries
        if resource == SummaryResource.TASKS:
            found = TaskSummaries.to_summary(tasks=rows)
        elif resource == SummaryResource.ACTORS:
            found = ActorSummaries.to_summary(actors=rows)
        else:
            found = ObjectSummaries.to_summary(objects=rows)
        return {"cluster": dataclasses.asdict(found)}

    def _rows(self, resource: StateResource, timeout: float, raise_on_missing: bool, explain: bool) -> Rows:
        if resource == StateResource.CLUSTER_EVENTS:
            answer = _state.read("workers", self._address, timeout)
            rows = [_event(row) for row in answer.rows if row["exit_type"] == "SYSTEM_ERROR"]
        else:
            answer = _state.read(resource.value, self._address, timeout)
            rows = answer.rows
        if answer.missing and raise_on_missing:
            raise RayStateApiException(
                f"Some {resource.value} may be missing: {'; '.join(answer.missing)}. Pass raise_on_missing_output=False to see what "
                "there is."
            )
        if answer.missing and explain:
            print(f"Some {resource.value} may be missing: {'; '.join(answer.missing)}.", file=sys.stderr)  # noqa: T201
        return rows


def _filter(rows: list[Row], column: str, predicate: str, value: Any) -> list[Row]:
    wanted = value.lower() if isinstance(value, str) else value
    equal = predicate == "="
    if isinstance(wanted, str):
        # Most columns are strings already: no call for each row.
        return [row for row in rows if (_text(row.get(column)) == wanted) == equal]
    return [row for row in rows if (_same(row.get(column), wanted)) == equal]


def _text(value: Any) -> str:
    if type(value) is str:
        return value.lower()
    return "" if value is None else str(value).lower()


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, int | float):
        return bool(value == wanted)
    return _text(value) == _text(wanted)


def _make(schema: type[StateSchema], rows: Rows, detail: bool) -> Objects:
    """Rows as objects. Written for 100,000 of them: a row's dictionary becomes its object's own."""
    blank: Row = dict.fromkeys(schema.list_columns(detail=True))
    shown = schema.base_columns()
    hidden: Row = {} if detail else {name: None for name in blank if name not in shown}
    found = []
    for row in rows:
        columns = {**blank, **row, **hidden}
        if schema is JobState and columns["driver_info"] is not None:
            columns["driver_info"] = DriverInfo(**columns["driver_info"])
        elif schema is TaskState and detail:
            columns["events"] = _task_events(row)
        state = object.__new__(schema)
        state.__dict__ = columns
        found.append(state)
    return found


def _task_events(row: Row) -> list[Row]:
    events = [("PENDING_ARGS_AVAIL", row.get("creation_time_ms")), ("RUNNING", row.get("start_time_ms"))]
    events.append((row["state"], row.get("end_time_ms")))
    return [{"state": state, "created_ms": when} for state, when in events if when]


def _event(row: Row) -> Row:
    return {
        "severity": "ERROR",
        "time": Humanify.timestamp(row["end_time_ms"]),
        "source_type": "WORKER",
        "message": f"worker {row['pid']} ended: {row['exit_detail']}",
        "event_id": row["worker_id"],
        "custom_fields": {"pid": row["pid"], "worker_id": row["worker_id"]},
    }


__all__ = ["StateApiClient"]
