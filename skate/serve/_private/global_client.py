"""The object that programs written for Ray ask for with `serve.context._get_global_client()`."""

from __future__ import annotations

from typing import Any

import skate
from skate.serve import api
from skate.serve._private import client, config_files
from skate.serve._private.common import (
    ApplicationStatus,
    ApplicationStatusInfo,
    DeploymentStatusInfo,
    StatusOverview,
)
from skate.serve._private.constants import SERVE_DEFAULT_APP_NAME
from skate.serve.config import HTTPOptions
from skate.serve.handle import DeploymentHandle
from skate.serve.schema import ServeApplicationSchema, ServeDeploySchema, ServeInstanceDetails


class ServeControllerClient:
    """A Serve instance, for programs that manage it."""

    def __init__(self, controller: Any) -> None:
        self._controller = controller

    @property
    def root_url(self) -> str:
        """Where HTTP is served."""
        found = skate.get(self._controller.address.remote())
        return "" if found is None else f"http://{found[0]}:{found[1]}"

    @property
    def http_config(self) -> HTTPOptions:
        """How HTTP is served."""
        found: HTTPOptions = skate.get(self._controller.settings.remote())[0]
        return found

    def __reduce__(self) -> Any:
        raise RuntimeError("The global client can't be pickled: ask for it where it is used.")

    def shutdown_cached_handles(self) -> None:
        """Accepted for Ray's programs: what handles use is shared by the process and ends with it."""

    def shutdown(self, timeout_s: float = 30.0) -> None:
        """End every application and Serve itself."""
        api.shutdown()

    def deploy_apps(
        self, config: ServeApplicationSchema | ServeDeploySchema, _blocking: bool = False
    ) -> None:
        """Bring what runs to what a config says."""
        if isinstance(config, ServeApplicationSchema):
            config = ServeDeploySchema(applications=[config])
        config_files.deploy_config(config, wait=_blocking)

    def delete_apps(self, names: list[str], blocking: bool = True) -> None:
        """Delete applications."""
        skate.get(self._controller.delete.remote(names))
        for name in names if blocking else []:
            api.delete(name)

    def delete_all_apps(self, blocking: bool = True) -> None:
        """Delete all applications."""
        self.delete_apps(skate.get(self._controller.list_apps.remote()), blocking)

    def get_serve_status(self, name: str = SERVE_DEFAULT_APP_NAME) -> StatusOverview:
        """How an application and its deployments are."""
        known = {each.name: each for each in self.list_serve_statuses()}
        missing = ApplicationStatusInfo(ApplicationStatus.NOT_STARTED, "", 0.0)
        return known.get(name) or StatusOverview(missing, name, [])

    def list_serve_statuses(self) -> list[StatusOverview]:
        """How all applications are."""
        return [
            StatusOverview(
                ApplicationStatusInfo(app.status, app.message, app.last_deployed_time_s),
                name,
                [
                    DeploymentStatusInfo(key, found.status, found.status_trigger, found.message)
                    for key, found in app.deployments.items()
                ],
            )
            for name, app in api.status().applications.items()
        ]

    def get_all_deployment_statuses(self) -> list[DeploymentStatusInfo]:
        """How all deployments are."""
        return [found for app in self.list_serve_statuses() for found in app.deployment_statuses]

    def get_serve_details(self) -> dict[str, Any]:
        """Everything, as the REST API answers it."""
        found: ServeInstanceDetails = skate.get(self._controller.instance_details.remote())
        return found.model_dump(mode="json", exclude_unset=True)

    def get_handle(
        self, deployment_name: str, app_name: str = SERVE_DEFAULT_APP_NAME, check_exists: bool = True
    ) -> DeploymentHandle[Any]:
        """A handle to a deployment.

        Raises:
            KeyError: there is none.
        """
        return api.get_deployment_handle(deployment_name, app_name, _check_exists=check_exists)

    def _wait_for_application_running(self, name: str, timeout_s: float = -1) -> None:
        api._wait_running(self._controller, name)


def get(raise_if_no_controller_running: bool = True) -> ServeControllerClient | None:
    """The instance's client; None if there is no instance.

    Raises:
        RayServeException: there is none, and that is to be an error.
    """
    if raise_if_no_controller_running:
        return ServeControllerClient(client.controller())
    found = client.current()
    return None if found is None else ServeControllerClient(found)
