"""The name under which newer programs of Ray stop in a debugger; it is `skate.util.rpdb`'s."""

from __future__ import annotations

from skate.util.rpdb import set_trace

__all__ = ["set_trace"]
