"""Skate Serve answers requests with models: over HTTP, or by calls of handles, from as many replicas as the load needs.

    api.py          deployment, ingress, run, start, status, delete, shutdown, handles by name
    deployment.py   what `@serve.deployment` and `.bind()` make
    handle.py       handles and responses
    batching.py     `@serve.batch`
    multiplex.py    `@serve.multiplexed`
    config.py, schema.py   options and statuses as models
    _private/       controller, replicas, routing, HTTP

Needs the packages of `pip install "skate[serve]"`.

Example:
    ```python
    from skate import serve


    @serve.deployment
    class Greeter:
        def __call__(self, request):
            return "hello"


    handle = serve.run(Greeter.bind())  # http://127.0.0.1:8000/
    ```
"""

from __future__ import annotations

try:
    import pydantic as _pydantic  # noqa: F401
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as _error:
    raise ImportError(
        f'skate.serve needs packages that are not installed ({_error}). Install them with: pip install "skate[serve]"'
    ) from _error

from skate.serve.api import (
    RunTarget,
    delete,
    deployment,
    get_app_handle,
    get_deployment_actor,
    get_deployment_actor_context,
    get_deployment_handle,
    get_multiplexed_model_id,
    get_replica_context,
    get_trace_context,
    ingress,
    run,
    run_many,
    shutdown,
    shutdown_async,
    start,
    status,
)
from skate.serve.api import _run as _run
from skate.serve.api import _run_many as _run_many
from skate.serve.batching import batch
from skate.serve.config import ControllerOptions, HTTPOptions
from skate.serve.deployment import Application, Deployment
from skate.serve.multiplex import multiplexed
from skate.serve.schema import TracingConfig

__all__ = [
    "Application",
    "ControllerOptions",
    "Deployment",
    "HTTPOptions",
    "RunTarget",
    "TracingConfig",
    "batch",
    "delete",
    "deployment",
    "get_app_handle",
    "get_deployment_actor",
    "get_deployment_actor_context",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "get_replica_context",
    "get_trace_context",
    "ingress",
    "multiplexed",
    "run",
    "run_many",
    "shutdown",
    "shutdown_async",
    "start",
    "status",
]
