"""How a job's status may change. Pure: what happens goes in, with the time; the service acts on what comes out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from skate.job_submission._records import JobErrorType, JobInfo, JobStatus


@dataclass
class Job:
    """A job, from its submission on. Times are Unix times in milliseconds."""

    id: str
    info: JobInfo
    group: int | None = None
    """The process group of its command; also the system's session that its processes are in."""
    stopping: bool = False
    """Whether somebody has asked for its end."""
    launching: bool = False
    """Whether it has its resources and its environment."""
    options: dict[str, Any] = field(default_factory=dict)

    def launched(self, group: int, node_id: str) -> None:
        """Its command runs."""
        self.group = group
        self._become(JobStatus.RUNNING, driver_node_id=node_id)

    def stop(self) -> bool:
        """Somebody asks for its end; False if it has ended already."""
        if self.info.status.is_terminal():
            return False
        self.stopping = True
        return True

    def ended(self, code: int, last_lines: str, now: int) -> None:
        """Its command has ended."""
        if self.stopping:
            self._become(JobStatus.STOPPED, end_time=now, driver_exit_code=code)
        elif code == 0:
            self._become(JobStatus.SUCCEEDED, end_time=now, driver_exit_code=0)
        else:
            message = f"Job entrypoint command failed with exit code {code}"
            if last_lines:
                message += f", last available logs:\n{last_lines}"
            self.failed(JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR, message, now, code)

    def failed(self, kind: JobErrorType, message: str, now: int, code: int | None = None) -> None:
        """Something has gone wrong."""
        if self.stopping:
            self._become(JobStatus.STOPPED, end_time=now, driver_exit_code=code)
            return
        self._become(JobStatus.FAILED, end_time=now, driver_exit_code=code, error_type=kind, message=message)

    def _become(self, status: JobStatus, **facts: Any) -> None:
        if not self.info.status.is_terminal():
            self.info = dataclasses.replace(self.info, status=status, **{"message": None, **facts})

    def to_json(self) -> dict[str, Any]:
        """As it is written down, for a service that takes over."""
        return {"id": self.id, "group": self.group, "info": self.info.to_json()}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(found["id"], JobInfo.from_json(found["info"]), found["group"])
