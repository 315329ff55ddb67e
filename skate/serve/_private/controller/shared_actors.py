"""Actors that all replicas of a deployment share: there before the first replica starts, gone after the last has ended."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import skate
from skate.serve import context as serve_context
from skate.serve._private.common import DeploymentID
from skate.serve._private.constants import SERVE_NAMESPACE
from skate.serve._private.controller.deployment_state import DeploymentState, Target
from skate.serve.config import DeploymentActorConfig
from skate.serve.context import DeploymentActorContext, _deployment_actor_name

Version = tuple[DeploymentID, str]


class SharedActors:
    """The shared actors of each version of each deployment."""

    def __init__(self) -> None:
        self._handles: dict[Version, list[Any]] = {}
        self._lock = asyncio.Lock()

    async def ensure(self, deployment: DeploymentID, target: Target) -> None:
        """Have them run.

        Whatever a constructor raises is raised.
        """
        configs = target.config.deployment_actors
        if not configs:
            return
        async with self._lock:
            key = (deployment, target.version)
            if key in self._handles:
                return
            made = [_make(config, deployment, target.version) for config in configs]
            try:
                await asyncio.gather(*(handle.__ray_ready__.remote() for handle in made))
            except BaseException:
                for handle in made:
                    skate.kill(handle)
                raise
            self._handles[key] = made

    def sweep(self, deployments: dict[DeploymentID, DeploymentState]) -> None:
        """End those of versions that no replica has any more."""
        for key in list(self._handles):
            deployment, version = key
            state = deployments.get(deployment)
            wanted = (
                state is not None
                and not state.deleting
                and state.target is not None
                and state.target.version == version
            )
            if wanted or (state is not None and any(r.version == version for r in state.replicas.values())):
                continue
            for handle in self._handles.pop(key):
                skate.kill(handle)


def _make(config: DeploymentActorConfig, deployment: DeploymentID, version: str) -> Any:
    given = config.get_actor_class()
    cls: Any = given if inspect.isclass(given) else given.__wrapped__
    context = DeploymentActorContext(deployment, config.name, version)

    class Shared(cls):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            serve_context._set_internal_deployment_actor_context(context)
            super().__init__(*args, **kwargs)

    Shared.__name__ = Shared.__qualname__ = cls.__name__
    options: dict[str, Any] = {"num_cpus": 0, **config.actor_options}
    options.update(
        name=_deployment_actor_name(deployment, version, config.name),
        namespace=SERVE_NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
    )
    return skate.remote(Shared).options(**options).remote(*config.init_args, **config.init_kwargs)
