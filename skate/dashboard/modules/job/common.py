"""An older path of `skate.job_submission`."""

from __future__ import annotations

from skate.job_submission import JobErrorType, JobInfo, JobStatus

JOB_ID_METADATA_KEY = "job_submission_id"
JOB_NAME_METADATA_KEY = "job_name"

__all__ = ["JOB_ID_METADATA_KEY", "JOB_NAME_METADATA_KEY", "JobErrorType", "JobInfo", "JobStatus"]
