"""An older path of `skate.job_submission`."""

from __future__ import annotations

from skate.job_submission import JobSubmissionClient

__all__ = ["JobSubmissionClient"]
