"""Start the REST API, with which config files are deployed, looked at and withdrawn over HTTP. Its paths are Ray's.

It listens on this machine alone unless it is asked to do otherwise, and answers only those who send its token.

Example:
    ```python
    from skate.serve import rest

    host, port = rest.start(port=8265)
    # curl -H "Authorization: Bearer $(cat ~/.cache/skate/rest-token)" http://127.0.0.1:8265/api/serve/applications/
    rest.stop()
    ```
"""

from __future__ import annotations

import skate
from skate.serve._private import constants as _constants
from skate.serve._private.rest.token import make_token, token_path

_NAME = "SERVE_REST_ACTOR"

__all__ = ["start", "stop", "token_path"]


def start(host: str = "127.0.0.1", port: int = 8265, token: str | None = None) -> tuple[str, int]:
    """Listen for the REST API, until the session ends or `stop` is called. If it listens already, it goes on where it does.

    Args:
        host: The address to listen on.
        port: The port; 0 lets the system choose one.
        token: What those who ask must send; default: SKATE_AUTH_TOKEN of the environment, or what `token_path()` has, which is made if
            it is not there.

    Returns:
        The address.

    Raises:
        OSError: the port is in use.
        ValueError: the token is empty, or it listens already, with another one.
    """
    from skate.serve._private.rest.server import RestServer

    if token == "":
        raise ValueError("token='': an empty token would let everybody in. Leave it out to have one made.")
    actor = (
        skate.remote(RestServer)
        .options(
            name=_NAME,
            namespace=_constants.SERVE_NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=_constants.ASYNC_CONCURRENCY,
            get_if_exists=True,
        )
        .remote(host, port, token or make_token())
    )
    try:
        found: tuple[str, int] = skate.get(actor.start.remote())
    except OSError:
        skate.kill(actor)
        raise
    if token is not None and not skate.get(actor.wants.remote(token)):
        raise ValueError("the REST API listens already, with another token: call rest.stop() first.")
    return found


def stop() -> None:
    """Listen no more; nothing happens if it does not."""
    try:
        actor = skate.get_actor(_NAME, namespace=_constants.SERVE_NAMESPACE)
    except ValueError:
        return
    skate.get(actor.close.remote())
    skate.kill(actor)
