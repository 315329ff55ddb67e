"""OpenTelemetry spans around requests: where they come in, the choice of a replica, and the replica's work.

It is off, and costs a comparison, until `serve.start(tracing_config=…)` turns it on for all of Serve's processes; a context travels with
each request, and so on from handle to handle.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skate.serve._private.utils import import_attr

if TYPE_CHECKING:
    from skate.serve.schema import TracingConfig

_tracer: Any = None


def is_on() -> bool:
    """Whether requests are traced in this process."""
    return _tracer is not None


def set_up(config: TracingConfig | None, component: str, name: str) -> None:
    """Trace requests in this process, if the configuration says so.

    Args:
        config: Whether, how many, and where spans go.
        component: What this process is: "proxy" or "replica".
        name: Which one.

    Raises:
        ImportError: OpenTelemetry is not installed, or the exporter can't be imported.
        TypeError: the exporter does not return a list of span processors.
    """
    global _tracer
    if config is None or not config.enabled:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError:
        raise ImportError("Tracing needs OpenTelemetry: pip install opentelemetry-sdk") from None
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: f"{component}_{name}", "process.pid": os.getpid()}),
        sampler=ParentBased(TraceIdRatioBased(config.sampling_ratio)),
    )
    for processor in _processors(config.exporter_import_path, f"{component}_{name}"):
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("skate.serve")


def _processors(path: str, name: str) -> list[Any]:
    """The span processors that the exporter makes."""
    make = import_attr(path) if path else default_tracing_exporter
    if not inspect.isfunction(make):
        raise TypeError("Tracing exporter must be a function.")
    parameters = [p for p in inspect.signature(make).parameters.values() if p.default is p.empty]
    if parameters and make is not default_tracing_exporter:
        raise TypeError("Tracing exporter cannot take any arguments.")
    made = make(name) if make is default_tracing_exporter else make()
    if not isinstance(made, list):
        raise TypeError("Output of tracing exporter needs to be of type List[SpanProcessor].")
    from opentelemetry.sdk.trace import SpanProcessor

    for each in made:
        if not isinstance(each, SpanProcessor):
            raise TypeError("Output of tracing exporter needs to be of type List[SpanProcessor].")
    return made


def default_tracing_exporter(tracing_file_name: str) -> list[Any]:
    """Spans as lines of JSON in the session's folder, one file a process."""
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    import skate

    session = skate.init(ignore_reinit_error=True).address_info.get("session_dir") or "."
    folder = os.path.join(session, "logs", "serve", "spans")
    os.makedirs(folder, exist_ok=True)
    out = open(os.path.join(folder, f"{tracing_file_name}.json"), "a", encoding="utf-8")  # noqa: SIM115 -- it lives as long as the process
    return [SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json() + "\n"))]


@contextmanager
def span(
    name: str, carrier: dict[str, str] | None, attributes: dict[str, Any] | None = None, server: bool = False
) -> Iterator[Any]:
    """A span around a block, inside the one that `carrier` names or else the current one; nothing while tracing is off."""
    if _tracer is None:
        yield None
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(carrier) if carrier else None
    kind = trace.SpanKind.SERVER if server else trace.SpanKind.INTERNAL
    with _tracer.start_as_current_span(name, context=context, kind=kind, attributes=attributes or {}) as made:
        yield made


def carrier() -> dict[str, str] | None:
    """What names the current span to another process; None while tracing is off."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(found)
    return found or None


def get_trace_context() -> dict[str, str] | None:
    """The current trace in W3C's form (`traceparent`, `tracestate`), to be handed to other services; None while tracing is off."""
    return carrier()
