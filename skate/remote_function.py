"""Remote functions, under Ray's name of the module."""

from skate.core.function import RemoteFunction

__all__ = ["RemoteFunction"]
