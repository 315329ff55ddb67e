"""The controller's actor: a loop that steps the state machines, and the methods that others call."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import time
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

import skate
from skate import exceptions
from skate.serve._private import logs
from skate.serve._private.common import (
    ApplicationStatus,
    AppRoute,
    DeploymentID,
    DeploymentStatus,
    DeploymentTargets,
    ReplicaID,
    ReplicaState,
    RunningReplica,
)
from skate.serve._private.constants import (
    CONTROL_LOOP_INTERVAL_S,
    LISTEN_TIMEOUT_S,
    SERVE_NAMESPACE,
    SERVE_PROXY_NAME,
)
from skate.serve._private.controller import details
from skate.serve._private.controller.application_state import ApplicationState, check_route
from skate.serve._private.controller.autoscaling import at_capacity
from skate.serve._private.controller.builds import BuildFailed, build
from skate.serve._private.controller.deployment_state import DeploymentState, Target
from skate.serve._private.controller.load import Load
from skate.serve._private.controller.registry import Registry
from skate.serve._private.controller.replicas import Replicas
from skate.serve._private.http.proxy import Proxy
from skate.serve.config import AutoscalingPolicy, HTTPOptions, ProxyLocation, gRPCOptions
from skate.serve.exceptions import RayServeException
from skate.serve.schema import (
    LoggingConfig,
    ProxyStatus,
    ServeApplicationSchema,
    ServeDeploySchema,
    ServeStatus,
    TracingConfig,
)

_PROXY_CHECK_S = 1.0


@dataclass
class DeployArgs:
    """A deployment of an application that is deployed."""

    name: str
    target: Target


@dataclass
class AppArgs:
    """An application to deploy."""

    name: str
    route_prefix: str | None
    ingress: str
    deployments: list[DeployArgs]
    topology: dict[str, list[str]] = field(default_factory=dict)
    config: Any = None
    is_declarative: bool = False
    external_scaler_enabled: bool = False
    policy: AutoscalingPolicy | None = None
    """What scales all its deployments."""


class Controller:
    """Knows what should run and sees to it.

    Args:
        http: How HTTP is served; None: not at all.
        grpc: How gRPC is served.
        logging: How Serve's processes log.
        folder: A folder of its own, for Unix sockets and what must survive it.
        tracing: Whether requests are traced.
    """

    async def __init__(  # type: ignore[misc]
        self,
        http: HTTPOptions,
        grpc: gRPCOptions | None,
        logging: LoggingConfig | None,
        folder: str,
        tracing: TracingConfig | None = None,
    ) -> None:
        logs.configure(logging, "controller", str(os.getpid()))
        self._http = http
        self._grpc = grpc
        self._logging = logging
        self._folder = folder
        self._serves_http = http.location != ProxyLocation.Disabled
        self._apps: dict[str, ApplicationState] = {}
        self._deployments: dict[DeploymentID, DeploymentState] = {}
        self._registry = Registry()
        self._wake = asyncio.Event()
        self._replicas = Replicas(http if self._serves_http else None, folder, self._wake.set, tracing)
        self._load = Load(self._apps, self._deployments, self._replicas, self._wake.set)
        self._tracing = tracing
        self._proxy: Any = None
        self._address: tuple[str, int] | None = None
        self._proxy_error: str = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._saved: bytes = b""
        self._ended = False
        self._starting = asyncio.Lock()
        self._again: asyncio.Task[Any] | None = None
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._grpc_port = 0
        if os.path.exists(os.path.join(folder, "controller")):
            # This is a restart: nobody will call start(), as it was called on the process that has died.
            self._again = asyncio.create_task(self.start())

    async def start(self) -> tuple[str, int] | None:
        """Begin; returns the address of HTTP.

        Raises:
            OSError: the port is in use.
        """
        async with self._starting:
            await self._start()
        return self._address

    async def _start(self) -> None:
        if self._tasks:
            return
        self._restore()
        self._publish()
        if self._serves_http:
            await self._start_proxy()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._load.run())]
        if self._serves_http:
            self._tasks.append(asyncio.create_task(self._watch_proxy()))

    # -- the loop ----------------------------------------

    async def _run(self) -> None:
        while not self._ended:
            try:
                self._step()
            except Exception:  # noqa: BLE001 -- one bad step must not end the loop that everything depends on
                logs.logger.exception("A step of the controller failed.")
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), CONTROL_LOOP_INTERVAL_S)
            except TimeoutError:
                pass

    def _step(self) -> None:
        now = time.time()
        for key, state in list(self._deployments.items()):
            for action in state.step(now):
                self._replicas.carry_out(state, action)
            if state.gone:
                del self._deployments[key]
                self._load.forget(key)
                self._registry.publish(_key(key), tuple(DeploymentTargets(deleted=True)))
        for name, app in list(self._apps.items()):
            mine = [s for s in self._deployments.values() if s.id.app_name == name]
            if app.deleting and not mine:
                del self._apps[name]
                self._load.set_policy(name, None)
                continue
            wanted = [s for s in mine if s.id.name in app.deployments]
            app.update((s.id.name, s.status, s.message) for s in wanted)
        self._replicas.sweep(self._deployments)
        self._publish()
        self._save()

    def _publish(self) -> None:
        """Tell those who follow what has changed."""
        for key, state in self._deployments.items():
            self._registry.publish(_key(key), tuple(self._targets(state)))
        routes = []
        for app in self._apps.values():
            if app.route_prefix is not None and not app.deleting and not app.building:
                ingress = self._deployments.get(DeploymentID(app.ingress, app.name))
                if ingress is not None:
                    routes.append(tuple(AppRoute(app.route_prefix, app.name, app.ingress, False)))
        self._registry.publish("routes", sorted(routes))

    def _targets(self, state: DeploymentState) -> DeploymentTargets:
        assert state.target is not None
        config = state.target.config
        running = tuple(
            tuple(
                RunningReplica(
                    record.uid,
                    ReplicaID(record.uid, state.id).to_full_id_str(),
                    config.max_ongoing_requests,
                    record.model_ids,
                    record.facts.socket if record.facts is not None else "",
                    record.facts.node_id if record.facts is not None else "",
                    record.routing_stats,
                    self._replicas.journal(record.uid),
                )
            )
            for record in state.running()
        )
        router = config.request_router_config
        return DeploymentTargets(
            running,  # type: ignore[arg-type]
            config.max_queued_requests,
            state.serves or bool(running),
            (config.backpressure_config.status_code, config.backpressure_config.retry_after_s),
            b"" if router.is_default_request_router() else cloudpickle.dumps(router),
        )

    # -- deploying ----------------------------------------

    async def deploy(self, apps: list[AppArgs]) -> None:
        """Deploy applications, or change those that are deployed.

        Raises:
            RayServeException: another application has the route prefix.
        """
        if self._again is not None:
            await self._again  # what was deployed before must be known first
        for app in apps:
            check_route(self._apps, app.name, app.route_prefix)
        for app in apps:
            self._deploy(app)
        self._wake.set()

    def _deploy(self, app: AppArgs) -> None:
        now = time.time()
        known = self._apps.get(app.name)
        self._load.set_policy(app.name, app.policy)  # a policy that can't be made changes nothing
        state = ApplicationState(
            app.name,
            app.route_prefix,
            app.ingress,
            [d.name for d in app.deployments],
            now,
            topology=app.topology,
            policy=app.policy,
        )
        state.config = app.config if app.config is not None else (known.config if known else None)
        state.is_declarative = app.is_declarative
        state.external_scaler_enabled = app.external_scaler_enabled
        self._apps[app.name] = state
        for given in app.deployments:
            key = DeploymentID(given.name, app.name)
            deployment = self._deployments.get(key)
            if deployment is None:
                deployment = self._deployments[key] = DeploymentState(key)
            config = given.target.config
            scaling = config.autoscaling_config
            current = (
                deployment.target_num if deployment.target is not None and not deployment.deleting else None
            )
            wanted = config.initial_target(current)
            if scaling is None:
                wanted = at_capacity(wanted, self._load.capacity)
            deployment.deploy(given.target, wanted)
            self._load.configure(key, scaling)
        for key, deployment in self._deployments.items():
            if key.app_name == app.name and key.name not in state.deployments:
                deployment.delete()

    async def deploy_config(self, config: ServeDeploySchema, path: list[str]) -> None:
        """Deploy a config file's applications, which are built first, and delete those of earlier ones that it does not name.

        Raises:
            RayServeException: an application that was not deployed from a config file has one's route prefix.
        """
        if self._again is not None:
            await self._again
        names = {app.name for app in config.applications}
        withdrawn = [name for name, app in self._apps.items() if app.is_declarative and name not in names]
        # Checked before anything is changed, among those that stay as they are.
        staying = {name: app for name, app in self._apps.items() if name not in (*names, *withdrawn)}
        for app in config.applications:
            check_route(staying, app.name, app.route_prefix)
        await self.delete(withdrawn)
        self._load.capacity = config.target_capacity
        for app in config.applications:
            self._set_app_config(app.name, app, app.route_prefix, path)
            earlier = self._builds.pop(app.name, None)
            if earlier is not None:
                earlier.cancel()
            self._builds[app.name] = asyncio.create_task(self._build(app, path))
        self._wake.set()

    async def _build(self, app: ServeApplicationSchema, path: list[str]) -> None:
        try:
            made = await build(app, path)
            self._deploy(made)
        except Exception as error:  # noqa: BLE001 -- whatever goes wrong is the application's message
            words = str(error) if isinstance(error, BuildFailed) else repr(error)
            known = self._apps.get(app.name)
            if known is not None:
                known.building = False
                known.build_failed = words
        self._wake.set()

    def _set_app_config(self, name: str, config: Any, prefix: str | None, path: list[str]) -> None:
        """An application of a config file is about to be built."""
        known = self._apps.get(name)
        if known is None:
            known = self._apps[name] = ApplicationState(name, prefix, "", [], time.time())
        known.config = config
        known.path = path
        known.deployed_at = time.time()
        known.is_declarative = True
        known.building = True
        known.deleting = False
        known.build_failed = ""
        known.status = ApplicationStatus.DEPLOYING

    async def delete(self, names: list[str]) -> None:
        """Delete applications; unknown names are passed over."""
        for name in names:
            app = self._apps.get(name)
            building = self._builds.pop(name, None)
            if building is not None:
                building.cancel()
            if app is not None:
                app.deleting = True
                app.status = ApplicationStatus.DELETING
                for key, deployment in self._deployments.items():
                    if key.app_name == name and not deployment.deleting:
                        deployment.delete()
        self._wake.set()

    async def scale_externally(self, app: str, deployment: str, num: int) -> None:
        """Set the number of replicas from outside.

        Raises:
            KeyError: there is no such deployment.
            RayServeException: the application does not have its number of replicas set from outside.
        """
        state = self._deployments[DeploymentID(deployment, app)]
        if not self._apps[app].external_scaler_enabled:
            raise RayServeException(
                f"application '{app}' was not deployed with external_scaler_enabled: true, so its numbers of replicas are its own."
            )
        state.scale(num)
        self._wake.set()

    # -- what others ask and tell ----------------------------------------

    async def listen(self, key: str, version: int, report: Any) -> tuple[int, Any] | None:
        """News of a key; waits until there is any, or a few seconds."""
        if report is not None and key.startswith("targets:"):
            app, _, name = key.removeprefix("targets:").rpartition("#")
            self._load.report(DeploymentID(name, app), *report)
        return await self._registry.newer(key, version, LISTEN_TIMEOUT_S)

    async def handle_reports(self, app: str, deployment: str, handle: str, queued: int) -> None:
        """A handle's queue has appeared or disappeared."""
        self._load.report(DeploymentID(deployment, app), handle, queued)

    async def suspect(self, app: str, deployment: str, uid: str) -> None:
        """A handle found a replica dead."""
        state = self._deployments.get(DeploymentID(deployment, app))
        if state is not None and uid in state.replicas:
            state.unhealthy(uid, "a request found it dead", fatal=True)
            self._wake.set()

    async def models(self, app: str, deployment: str, uid: str, model_ids: tuple[str, ...]) -> None:
        """A replica has loaded or unloaded models."""
        state = self._deployments.get(DeploymentID(deployment, app))
        if state is not None and uid in state.replicas:
            state.replicas[uid].model_ids = model_ids
            self._publish()

    async def address(self) -> tuple[str, int] | None:
        """Where HTTP is served."""
        return self._address

    async def settings(self) -> tuple[HTTPOptions, gRPCOptions | None]:
        """How it was started."""
        return self._http, self._grpc

    async def ingress_of(self, app: str) -> str | None:
        """The ingress deployment of an application; None if there is no such application."""
        found = self._apps.get(app)
        return found.ingress if found is not None and not found.deleting else None

    async def has_deployment(self, app: str, name: str) -> bool:
        """Whether there is such a deployment."""
        return DeploymentID(name, app) in self._deployments

    async def list_apps(self) -> list[str]:
        """The names of all applications."""
        return list(self._apps)

    async def list_declared(self) -> list[str]:
        """The names of applications that config files have deployed."""
        return [name for name, app in self._apps.items() if app.is_declarative]

    async def status(self) -> ServeStatus:
        """How everything is."""
        if self._again is not None:
            await self._again
        proxies = {}
        if self._serves_http:
            node = skate.get_runtime_context().get_node_id()
            proxies[node] = self._proxy_status()
        return details.status(self._apps, self._deployments, proxies, self._load.capacity)

    async def instance_details(self) -> Any:
        """Everything, for the REST API."""
        reached = details.Reached(
            self._http,
            self._address,
            self._grpc,
            self._grpc_port,
            skate.get_runtime_context().get_node_id(),
            self._proxy_status() if self._serves_http else None,
            self._load.capacity,
        )
        return details.instance(self._apps, self._deployments, self._load.scalers, reached)

    def _proxy_status(self) -> ProxyStatus:
        return ProxyStatus.UNHEALTHY if self._proxy_error else ProxyStatus.HEALTHY

    async def wait_for_app(self, name: str, timeout: float) -> tuple[str, str] | None:
        """The status of an application and its message, once it is neither deploying nor deleting; None if it is gone."""
        deadline = time.monotonic() + timeout
        while (app := self._apps.get(name)) is not None:
            if app.status not in (ApplicationStatus.DEPLOYING, ApplicationStatus.DELETING):
                if app.status != ApplicationStatus.RUNNING or await self._proxy_knows(app):
                    why = "\n".join(
                        s.message
                        for s in self._deployments.values()
                        if s.id.app_name == name and s.status == DeploymentStatus.DEPLOY_FAILED
                    )
                    return app.status.value, f"{app.message}\n{why}" if why else app.message
            if time.monotonic() > deadline:
                return app.status.value, app.message
            await asyncio.sleep(0.01)
        return None

    async def _proxy_knows(self, app: ApplicationState) -> bool:
        if self._proxy is None or app.route_prefix is None:
            return True
        try:
            return bool(await self._proxy.routes_known.remote([app.route_prefix]))
        except exceptions.RayActorError:
            return False

    # -- the proxy ----------------------------------------

    async def _start_proxy(self) -> None:
        options = {
            "name": SERVE_PROXY_NAME,
            "namespace": SERVE_NAMESPACE,
            "lifetime": "detached",
            "num_cpus": 0,
            "max_concurrency": 1_000_000,
            "get_if_exists": True,
        }
        http = self._http
        if self._address is not None:
            http = http.model_copy(update={"port": self._address[1]})
        proxy = (
            skate.remote(Proxy)
            .options(**options)
            .remote(http, self._folder, self._logging, self._grpc, self._tracing)
        )
        try:
            _host, port = await proxy.start.remote()
            self._grpc_port = await proxy.grpc_port.remote()
        except OSError:
            skate.kill(proxy)
            raise
        self._proxy = proxy
        self._address = (str(self._http.host), port)
        self._proxy_error = ""

    async def _watch_proxy(self) -> None:
        while not self._ended:
            try:
                await self._proxy.wait_for_end.remote()
            except exceptions.RayActorError as error:
                self._proxy_error = str(error)
            if self._ended:
                return
            try:
                await self._start_proxy()
            except (OSError, exceptions.RayError) as error:
                self._proxy_error = str(error)
                logs.logger.error("The proxy could not be started again: %s", error)
            await asyncio.sleep(_PROXY_CHECK_S)

    # -- what must survive it ----------------------------------------

    def _save(self) -> None:
        kept = cloudpickle.dumps((self._apps, self._deployments, self._address, self._load.capacity))
        if kept == self._saved:
            return
        self._saved = kept
        path = os.path.join(self._folder, "controller")
        with open(f"{path}.new", "wb") as file:
            file.write(kept)
        os.replace(f"{path}.new", path)

    def _restore(self) -> None:
        """Go on where an earlier controller of this instance was when it died."""
        path = os.path.join(self._folder, "controller")
        if not os.path.exists(path):
            return
        with open(path, "rb") as file:
            apps, deployments, self._address, self._load.capacity = pickle.load(file)
        self._apps.update(apps)
        for app in self._apps.values():
            self._load.set_policy(app.name, app.policy)
            if app.building and not app.deleting:
                self._builds[app.name] = asyncio.create_task(self._build(app.config, app.path))
        for key, state in deployments.items():
            self._deployments[key] = state
            if state.target is not None:
                self._load.configure(key, state.target.config.autoscaling_config)
            for record in list(state.replicas.values()):
                alive = record.state in (ReplicaState.RUNNING, ReplicaState.UPDATING)
                if not self._replicas.adopt(state, record):
                    del state.replicas[record.uid]
                elif not alive:
                    # It was being started or ended: which step it had reached is not known, so it is ended.
                    state.give_up_on(record.uid)

    async def end(self) -> None:
        """End every replica and the proxy, then this actor may be killed."""
        await self.delete(list(self._apps))
        while self._apps:
            await asyncio.sleep(0.01)
        await self._replicas.ended()
        self._ended = True
        self._wake.set()
        for task in self._tasks:
            task.cancel()
        if self._proxy is not None:
            await self._proxy.close.remote()
            skate.kill(self._proxy)
        shutil.rmtree(self._folder, ignore_errors=True)


def _key(deployment: DeploymentID) -> str:
    return f"targets:{deployment.app_name}#{deployment.name}"
