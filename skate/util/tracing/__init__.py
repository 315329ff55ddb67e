"""OpenTelemetry spans around calls and their execution, with the names of `ray.util.tracing`.

`skate.init(_tracing_startup_hook="module:function")` turns it on: the function sets OpenTelemetry up, in the driver and in every worker
that runs a call. Each `.remote()` is then a span, its execution a span inside that one, and so on down. Needs `opentelemetry-sdk`.
"""

from __future__ import annotations

__all__: list[str] = []
