"""Errors of Skate Data."""

from skate.exceptions import UserCodeException


class ExecutionTimeoutError(Exception):
    """A run took longer than it may."""


class SystemException(Exception):
    """An error of Skate Data itself, and not of a user's function."""


class RayDataUserCodeException(UserCodeException):
    """A user's function failed."""


__all__ = ["ExecutionTimeoutError", "RayDataUserCodeException", "SystemException", "UserCodeException"]
