"""The one engine this process runs on, and how it comes to be started on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.engine.base import Engine

engine: Engine | None = None
"""The running engine, or None before `init` and after `shutdown`."""

sessions = 0
"""How many sessions this process has started or joined: with more than one, there may be refs of those that have ended."""

auto_init: Callable[[], object] | None = None
"""What starts an engine with its defaults; the public API sets it (core may not import upwards)."""

this_process: Callable[[], Any] | None = None
"""What describes this process to programs that look below the public API; the public API sets it."""

environment: Callable[[dict[str, Any]], dict[str, Any]] | None = None
"""What makes the object that users see of a runtime environment's fields; the public API sets it."""

worker_setup: list[tuple[str, tuple[Any, ...]]] = []
"""What every worker of a session started from now on calls before anything else: functions ("module:function") and arguments."""

binder: Callable[[], Any] | None = None
"""What gives the module that makes the nodes of `.bind(...)`; the public API sets it."""

PROGRESS = "__ray_tqdm_magic_token__"
"""Marks a line of a worker's output that is the state of a progress bar, and not to be printed."""

show_progress: Callable[[str], None] | None = None
"""What shows such a line; the public API sets it."""

tracer: Any = None
"""While tracing is on, what calls are submitted through: an object with this module's `Engine` methods `submit_task`, `create_actor`
and `submit_actor_call`, each with the engine's own method as its first argument."""

lock = threading.RLock()
"""Held while an engine starts or stops."""


def current() -> Engine:
    """The running engine, started with defaults if there is none.

    Raises:
        RuntimeError: no engine runs and nothing can start one.
    """
    found = engine
    if found is not None:
        return found
    with lock:
        if engine is None:
            if auto_init is None:
                raise RuntimeError("Skate is not initialised: call skate.init() first.")
            auto_init()
        if engine is None:
            raise RuntimeError("skate.init() did not start an engine: call it yourself to see why.")
        return engine


def nodes() -> Any:
    """The module whose `bind_function`, `bind_class` and `bind_method` make nodes.

    Raises:
        RuntimeError: the public API is not loaded.
    """
    if binder is None:
        raise RuntimeError("bind() needs the public API: import skate first.")
    return binder()
