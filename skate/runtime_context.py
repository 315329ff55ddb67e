"""The runtime context, under Ray's name of the module."""

from skate.core.context import RuntimeContext, get_runtime_context

__all__ = ["RuntimeContext", "get_runtime_context"]
