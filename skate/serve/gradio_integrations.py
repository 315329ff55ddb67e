"""Gradio apps as deployments. Needs the package `gradio`.

Example:
    ```python
    app = GradioServer.bind(lambda: gr.Interface(fn=str.upper, inputs="text", outputs="text"))
    serve.run(app)
    ```
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.serve.api import deployment, ingress

if TYPE_CHECKING:
    from gradio import Blocks

__all__ = ["GradioIngress", "GradioServer"]


@ingress()
class GradioIngress:
    """Serves a Gradio app.

    Args:
        builder: A function without arguments that makes the app, an `Interface` or `Blocks`. It runs in the replica, so the app need not
            be picklable.

    Raises:
        ImportError: `gradio` is not installed.
    """

    def __init__(self, builder: Callable[[], Blocks]) -> None:
        try:
            from gradio import routes
        except ImportError as error:
            raise ImportError(
                f"Gradio apps need a package that is not installed ({error}): pip install gradio"
            ) from error
        self.blocks = builder()
        self.demo: Any = routes.App.create_app(self.blocks)

    def __serve_build_asgi_app__(self) -> Any:
        """The app that answers requests."""
        return self.demo


GradioServer = deployment(GradioIngress)
