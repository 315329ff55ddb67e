"""A deployment of `skate.serve` as the engine: several processors can share its model."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from skate.data.execution.strategies import ActorPoolStrategy
from skate.data.llm.config import ProcessorConfig
from skate.data.llm.processor import Processor, ProcessorBuilder
from skate.data.llm.stages import ERROR_COLUMN, Stage, StageFunction


class ServeDeploymentProcessorConfig(ProcessorConfig):
    """A processor that calls a deployment for each row.

    Attributes:
        deployment_name: The deployment.
        app_name: Its application.
        dtype_mapping: For the `dtype` that a row names, the class that is made of its `request_kwargs`.
        should_continue_on_error: Whether a row that fails gets a text in `__inference_error__`, and does not end the run.
        request_timeout_s: Seconds that a call may take; None for any time.
    """

    deployment_name: str
    app_name: str
    dtype_mapping: dict[str, type[Any]] | None = Field(default=None)
    should_continue_on_error: bool = False
    request_timeout_s: float | None = None


class ServeDeploymentStage(StageFunction):
    """Calls `method` of a deployment with `request_kwargs`, and adds what it answers: a dict, or an object that has one.

    Args:
        deployment_name: The deployment.
        app_name: Its application.
        dtype_mapping: Classes of requests, by name.
        should_continue_on_error: Whether a row that fails is marked, and does not end the run.
        request_timeout_s: Seconds that a call may take.
    """

    required = {  # noqa: RUF012 - of the class
        "method": "Name of the method to invoke on the serve deployment.",
        "request_kwargs": "The request_kwargs to construct the request.",
    }
    optional = {"dtype": "The name of the request's class in dtype_mapping."}  # noqa: RUF012

    def __init__(
        self,
        deployment_name: str,
        app_name: str,
        dtype_mapping: dict[str, type[Any]] | None,
        should_continue_on_error: bool,
        request_timeout_s: float | None,
    ) -> None:
        from skate import serve

        self._handle = serve.get_deployment_handle(deployment_name, app_name)
        self._kinds = dtype_mapping or {}
        self._goes_on, self._timeout = should_continue_on_error, request_timeout_s

    async def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the deployment answered."""
        return list(await asyncio.gather(*(self._one(row) for row in rows)))

    async def _one(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            request: Any = row["request_kwargs"]
            if row.get("dtype") is not None:
                if row["dtype"] not in self._kinds:
                    raise ValueError(
                        f"{row['dtype']!r} is not in dtype_mapping, which has {sorted(self._kinds)}."
                    )
                request = self._kinds[row["dtype"]](**request)
            call = getattr(self._handle, row["method"]).remote(request)
            answer = await asyncio.wait_for(call, self._timeout)
        except Exception as error:
            if not self._goes_on:
                raise
            return {ERROR_COLUMN: f"{type(error).__name__}: {error}"}
        return dict(answer.model_dump() if hasattr(answer, "model_dump") else answer)


def _build(config: ServeDeploymentProcessorConfig, **functions: Any) -> Processor:
    arguments = {
        "deployment_name": config.deployment_name,
        "app_name": config.app_name,
        "dtype_mapping": config.dtype_mapping,
        "should_continue_on_error": config.should_continue_on_error,
        "request_timeout_s": config.request_timeout_s,
    }
    where = {"compute": ActorPoolStrategy(**config.get_concurrency()), "batch_size": config.batch_size}
    return Processor(config, [Stage(ServeDeploymentStage, arguments, where)], **functions)


ProcessorBuilder.register(ServeDeploymentProcessorConfig, _build)

__all__ = ["ServeDeploymentProcessorConfig", "ServeDeploymentStage"]
