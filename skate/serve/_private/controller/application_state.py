"""Applications: which deployments belong to them, and how they are. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from skate.serve._private.common import ApplicationStatus, DeploymentStatus
from skate.serve.config import AutoscalingPolicy
from skate.serve.exceptions import RayServeException


@dataclass
class ApplicationState:
    """One application."""

    name: str
    route_prefix: str | None
    ingress: str
    deployments: list[str]
    deployed_at: float
    status: ApplicationStatus = ApplicationStatus.DEPLOYING
    message: str = ""
    deleting: bool = False
    is_declarative: bool = False
    config: Any = None
    """The part of a config file that it was deployed from."""
    path: list[str] = field(default_factory=list)
    """Folders in which its modules are looked for first."""
    building: bool = False
    """Whether its import path is being imported."""
    build_failed: str = ""
    policy: AutoscalingPolicy | None = None
    """What scales all its deployments."""
    topology: dict[str, list[str]] = field(default_factory=dict)
    external_scaler_enabled: bool = False

    def update(self, statuses: Iterable[tuple[str, DeploymentStatus, str]]) -> None:
        """Derive the status from its deployments': names, statuses and messages."""
        known = list(statuses)
        if self.deleting:
            self.status = ApplicationStatus.DELETING
            return
        if self.build_failed:
            self.status, self.message = ApplicationStatus.DEPLOY_FAILED, self.build_failed
            return
        if self.building:
            self.status, self.message = ApplicationStatus.DEPLOYING, ""
            return
        failed = [(name, why) for name, status, why in known if status == DeploymentStatus.DEPLOY_FAILED]
        ill = [name for name, status, _ in known if status == DeploymentStatus.UNHEALTHY]
        busy = [name for name, status, _ in known if status == DeploymentStatus.UPDATING]
        self.message = ""
        if failed:
            self.status = ApplicationStatus.DEPLOY_FAILED
            self.message = f"Failed to update the deployments {[name for name, _ in failed]}."
        elif ill:
            self.status = ApplicationStatus.UNHEALTHY
            self.message = f"The deployments {ill} are UNHEALTHY."
        elif busy:
            self.status = ApplicationStatus.DEPLOYING
        else:
            self.status = ApplicationStatus.RUNNING


def check_route(apps: dict[str, ApplicationState], name: str, prefix: str | None) -> None:
    """Refuse a route prefix that another application has.

    Raises:
        RayServeException: another one has it.
    """
    if prefix is None:
        return
    for other in apps.values():
        if other.name != name and other.route_prefix == prefix and not other.deleting:
            raise RayServeException(
                f'Prefix {prefix} is being used by application "{other.name}". Failed to deploy application "{name}".'
            )
