"""The paths of the REST API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from skate.serve import api
from skate.serve._private import client, config_files
from skate.serve._private.rest.token import is_right
from skate.serve.exceptions import RayServeException
from skate.serve.schema import ScaleDeploymentRequest, ServeDeploySchema, ServeInstanceDetails

_MOST_BYTES = 4 << 20
NOTHING = ServeInstanceDetails(applications={}, proxies={}, target_capacity=None)
"""What there is to be said of an instance that does not run."""


class _Guard:
    """Lets nobody in who has not the token, nor a web page that a browser shows."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            if not is_right(request.headers.get("authorization", ""), self._token):
                words = "A token is needed: send the header `Authorization: Bearer TOKEN`."
                refused = PlainTextResponse(words, 401, {"www-authenticate": "Bearer"})
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _details(_request: Request) -> Response:
    controller = client.current()
    details = NOTHING if controller is None else await controller.instance_details.remote()
    return JSONResponse(details.model_dump(mode="json", exclude_unset=True))


async def _deploy(request: Request) -> Response:
    body = await _body(request)
    if body is None:
        return PlainTextResponse(f"a config has at most {_MOST_BYTES} bytes.", 413)
    try:
        config = ServeDeploySchema.model_validate(json.loads(body))
    except json.JSONDecodeError as error:
        return PlainTextResponse(f"the body is no JSON: {error}", 400)
    except ValidationError as error:
        return PlainTextResponse(str(error), 400)
    try:
        await config_files.deploy_config_async(config)
    except RayServeException as error:
        return PlainTextResponse(str(error), 400)
    return Response(status_code=200)


async def _shutdown(_request: Request) -> Response:
    await api.shutdown_async()
    return Response(status_code=200)


async def _scale(request: Request) -> Response:
    body = await _body(request)
    controller = client.current()
    if controller is None:
        return JSONResponse({"error": "Serve is not running."}, 503)
    try:
        wanted = ScaleDeploymentRequest.model_validate_json(body or b"")
    except ValidationError as error:
        return JSONResponse({"error": str(error)}, 400)
    app, deployment = request.path_params["app"], request.path_params["deployment"]
    try:
        await controller.scale_externally.remote(app, deployment, wanted.target_num_replicas)
    except KeyError:
        return JSONResponse({"error": f"there is no deployment '{deployment}' in application '{app}'."}, 404)
    except RayServeException as error:
        return JSONResponse({"error": str(error)}, 412)
    return JSONResponse({"message": "Scaling request received. Deployment will get scaled asynchronously."})


async def _body(request: Request) -> bytes | None:
    """The body; None if it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MOST_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


async def _version(_request: Request) -> Response:
    import skate
    from skate._version import RAY_VERSION

    return JSONResponse(
        {"version": "4", "ray_version": RAY_VERSION, "ray_commit": "", "skate_version": skate.__version__}
    )


def rest_app(token: str) -> Starlette:
    """The API as an ASGI app.

    Args:
        token: What those who ask must send.
    """
    paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/api/serve/applications/", _details),
        ("PUT", "/api/serve/applications/", _deploy),
        ("DELETE", "/api/serve/applications/", _shutdown),
        ("POST", "/api/v1/applications/{app}/deployments/{deployment}/scale", _scale),
        ("GET", "/api/version", _version),
    ]
    routes = [Route(path, endpoint, methods=[method]) for method, path, endpoint in paths]
    guard: Any = Middleware(_Guard, token=token)
    return Starlette(routes=routes, middleware=[guard])
