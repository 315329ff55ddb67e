"""What is said about a job."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Self


class JobStatus(str, Enum):
    """Where a job is in its life."""

    PENDING = "PENDING"
    """It waits for its resources, or its environment is being made."""
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    """Somebody has stopped it."""
    SUCCEEDED = "SUCCEEDED"
    """Its command has ended with code 0."""
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value

    def is_terminal(self) -> bool:
        """Whether the status stays as it is."""
        return self in (JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED)


class JobErrorType(str, Enum):
    """Why a job has failed."""

    RUNTIME_ENV_SETUP_FAILURE = "RUNTIME_ENV_SETUP_FAILURE"
    JOB_SUPERVISOR_ACTOR_START_TIMEOUT = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
    JOB_SUPERVISOR_ACTOR_START_FAILURE = "JOB_SUPERVISOR_ACTOR_START_FAILURE"
    JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE = "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"
    JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE = "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE"
    JOB_SUPERVISOR_ACTOR_DIED = "JOB_SUPERVISOR_ACTOR_DIED"
    JOB_ENTRYPOINT_COMMAND_START_ERROR = "JOB_ENTRYPOINT_COMMAND_START_ERROR"
    JOB_ENTRYPOINT_COMMAND_ERROR = "JOB_ENTRYPOINT_COMMAND_ERROR"


class JobType(str, Enum):
    """How a program came to be in the session."""

    SUBMISSION = "SUBMISSION"
    """It was submitted."""
    DRIVER = "DRIVER"
    """It joined, or started, the session by itself."""


_MESSAGES = {
    JobStatus.PENDING: "Job has not started yet: it waits for its resources, or for its runtime environment.",
    JobStatus.RUNNING: "Job is currently running.",
    JobStatus.STOPPED: "Job was intentionally stopped.",
    JobStatus.SUCCEEDED: "Job finished successfully.",
    JobStatus.FAILED: "Job failed.",
}


@dataclass
class JobInfo:
    """A submitted job, as the session keeps it. Times are Unix times in milliseconds."""

    status: JobStatus
    entrypoint: str
    """The command."""
    message: str | None = None
    """The status in more words."""
    error_type: JobErrorType | None = None
    start_time: int | None = None
    """When it was submitted."""
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] | None = None
    driver_agent_http_address: str | None = None
    """None: nothing listens for HTTP here."""
    driver_node_id: str | None = None
    driver_exit_code: int | None = None
    """The command's exit code; that of a signal is its number, negative."""

    def __post_init__(self) -> None:
        self.status = JobStatus(self.status)
        if self.error_type is not None:
            self.error_type = JobErrorType(self.error_type)
        if self.message is None:
            self.message = _MESSAGES[self.status]

    def to_json(self) -> dict[str, Any]:
        """The same in types that JSON has; the environment as a string of JSON."""
        found = dataclasses.asdict(self)
        found["status"] = self.status.value
        found["error_type"] = None if self.error_type is None else self.error_type.value
        env = found.pop("runtime_env")
        if env is not None:
            found["runtime_env_json"] = json.dumps(env)
        return found

    @classmethod
    def from_json(cls, json_dict: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        given = dict(json_dict)
        env = given.pop("runtime_env_json", None)
        if env is not None:
            given["runtime_env"] = json.loads(env)
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})


class _Model:
    """What programs call on these records in Ray, where they are pydantic's."""

    model_config: ClassVar[dict[str, Any]] = {}

    def model_dump(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def model_dump_json(self) -> str:
        """The fields as JSON."""
        return json.dumps(self.model_dump())

    def dict(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return self.model_dump()

    def json(self) -> str:
        """The fields as JSON."""
        return self.model_dump_json()


@dataclass(kw_only=True)
class DriverInfo(_Model):
    """The process of a program that is part of the session."""

    id: str
    """Its job id."""
    node_ip_address: str
    pid: str


@dataclass(kw_only=True)
class JobDetails(_Model):
    """A program in the session: submitted, or there by itself. Times are Unix times in milliseconds."""

    type: JobType
    job_id: str | None = None
    """The id that its driver has in the session, once there is one."""
    submission_id: str | None = None
    """The id that it was submitted under."""
    driver_info: DriverInfo | None = None
    status: JobStatus
    entrypoint: str
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    def __post_init__(self) -> None:
        self.type = JobType(self.type)
        self.status = JobStatus(self.status)
        if isinstance(self.driver_info, dict):
            self.driver_info = DriverInfo(**self.driver_info)
