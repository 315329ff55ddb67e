"""Helpers for code in replicas."""

from __future__ import annotations

from skate.serve.api import get_trace_context

__all__ = ["get_trace_context"]
