"""Programs submitted to a session that stands: each runs as a driver in processes of its own, with its runtime environment.

_client.py      JobSubmissionClient: what programs and the commands `skate job …` use
_records.py     what is said about a job: statuses, kinds of errors, JobInfo, JobDetails
_states.py     how a job's status may change (pure)
_addresses.py  which session an address means
_service.py    an actor of the session that keeps the jobs and answers on a socket of its own
_supervisor.py an actor for each job, in the job's environment, which holds its resources and runs its command
_watch.py      the process that runs the command, and ends all it has started when it is told to, or when nobody is left to tell it
as_ray/        what makes `import ray` give Skate in the processes of a job
"""

from __future__ import annotations

from skate.job_submission._client import JobSubmissionClient
from skate.job_submission._records import (
    DriverInfo,
    JobDetails,
    JobErrorType,
    JobInfo,
    JobStatus,
    JobType,
)

__all__ = [
    "DriverInfo",
    "JobDetails",
    "JobErrorType",
    "JobInfo",
    "JobStatus",
    "JobSubmissionClient",
    "JobType",
]
