"""An older path of `skate.job_submission`."""

from __future__ import annotations

from skate.job_submission import DriverInfo, JobDetails, JobType

__all__ = ["DriverInfo", "JobDetails", "JobType"]
