"""Gradio apps as deployments. Needs the package `gradio`.

Example:
    ```python
    app = GradioServer.bind(lambda: gr.Interface(fn=str.upper, inputs="text", outputs="text"))
    serve.run(app)
    ```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skate.serve.api import deployment, ingress

try:
    from gradio import Blocks, routes
except ImportError as error:
    raise ImportError("Gradio apps need a package: pip install gradio") from error

__all__ = ["GradioIngress", "GradioServer"]


@ingress()
class GradioIngress:
    """Serves a Gradio app.

    Args:
        builder: A function without arguments that makes the app, an `Interface` or `Blocks`. It runs in the replica, so the app need not
            be picklable.
    """

    def __init__(self, builder: Callable[[], Blocks]) -> None:
        self.blocks = builder()
        self.demo = routes.App.create_app(self.blocks)

    def __serve_build_asgi_app__(self) -> Any:
        """The app that answers requests."""
        return self.demo


GradioServer = deployment(GradioIngress)
