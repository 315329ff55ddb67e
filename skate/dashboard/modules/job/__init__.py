"""Older paths of `skate.job_submission`."""

from __future__ import annotations

__all__: list[str] = []
