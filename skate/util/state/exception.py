"""Errors of the state API."""

from __future__ import annotations


class RayStateApiException(Exception):
    """A question about the session's state that makes no sense, or that could not be answered in full."""


class DataSourceUnavailable(Exception):
    """A process did not answer."""


class ServerUnavailable(Exception):
    """Nobody answers at the address that was given; programs catch it, and Skate raises `ConnectionError` there."""


__all__ = ["DataSourceUnavailable", "RayStateApiException", "ServerUnavailable"]
