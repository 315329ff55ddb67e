"""Carrying out what the state machines decide: replicas are started, watched, reconfigured and ended."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import skate
from skate import exceptions
from skate.serve._private.common import DeploymentID, ReplicaID
from skate.serve._private.constants import ASYNC_CONCURRENCY, SERVE_NAMESPACE
from skate.serve._private.controller.deployment_state import (
    Action,
    DeploymentState,
    Reconfigure,
    ReplicaRecord,
    Start,
    Stop,
    Target,
)
from skate.serve._private.controller.placement import Placement
from skate.serve._private.controller.shared_actors import SharedActors
from skate.serve._private.logs import logger
from skate.serve._private.replica.actor import Replica
from skate.serve._private.replica.spec import ReplicaSpec
from skate.serve.config import HTTPOptions
from skate.serve.gang import GangContext
from skate.serve.schema import TracingConfig

_LAST_WORD_S = 5.0
_JOURNALS_KEPT = 64


class Replicas:
    """The replicas' actors.

    Args:
        http: How HTTP is served; None if it is not.
        folder: Where Unix sockets are.
        changed: Called when something has happened that the state machines were told of.
        tracing: Whether requests are traced.
    """

    def __init__(
        self,
        http: HTTPOptions | None,
        folder: str,
        changed: Callable[[], None],
        tracing: TracingConfig | None = None,
    ) -> None:
        self._http = http
        self._tracing = tracing
        self._placement = Placement()
        self._shared = SharedActors()
        self._folder = folder
        self._changed = changed
        self._handles: dict[str, Any] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._journals: deque[str] = deque()
        """Those of replicas that have ended: handles may still ask what was begun there."""

    def sweep(self, deployments: dict[DeploymentID, DeploymentState]) -> None:
        """End what replicas shared and no replica needs any more."""
        self._shared.sweep(deployments)

    def carry_out(self, state: DeploymentState, action: Action) -> None:
        """Do what a state machine has decided."""
        if isinstance(action, Start):
            self._spawn(action.uid, self._start(state, action))
        elif isinstance(action, Stop):
            task = asyncio.create_task(self._stop(state, action))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        elif isinstance(action, Reconfigure):
            self._spawn(action.uid, self._reconfigure(state, action))

    def _spawn(self, uid: str, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.setdefault(uid, []).append(task)

    async def _start(self, state: DeploymentState, action: Start) -> None:
        target = state.target
        assert target is not None
        uid = action.uid
        replica = ReplicaID(uid, state.id)
        try:
            await self._shared.ensure(state.id, target)
            place = await self._placement.place(state, target, action)
            handle = self._create(state, target, replica, action, place)
            self._handles[uid] = handle
            facts = await handle.initialize.remote()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever a user's constructor raises is the deployment's message
            self._kill(uid)
            gang = state.replicas[uid].gang if uid in state.replicas else ""
            state.start_failed(uid, _words(error), time.time())
            self._forget(uid)
            self._placement.forget(state, uid, gang)
            self._changed()
            return
        state.started(uid, facts)
        self._changed()
        self.watch(state, uid)

    def _create(
        self, state: DeploymentState, target: Target, replica: ReplicaID, action: Start, place: dict[str, Any]
    ) -> Any:
        spec = ReplicaSpec(
            id=replica,
            definition=target.definition,
            arguments=target.arguments,
            config=target.config,
            is_ingress=target.is_ingress,
            http=self._http,
            folder=self._folder,
            journal=self.journal(replica.unique_id),
            rank=action.rank,
            world_size=state.target_num,
            version=target.version,
            path=target.path,
            tracing=self._tracing,
        )
        if action.gang:
            spec.gang = GangContext(
                action.gang,
                action.gang_rank,
                target.gang_size,
                list(action.members),
                self._placement.name(state, action.gang),
            )
        options: dict[str, Any] = {**target.actor_options, **place}
        options.update(
            name=replica.to_full_id_str(),
            namespace=SERVE_NAMESPACE,
            lifetime="detached",
            max_concurrency=ASYNC_CONCURRENCY,
            max_restarts=0,
        )
        return skate.remote(Replica).options(**options).remote(spec)

    def adopt(self, state: DeploymentState, record: ReplicaRecord) -> bool:
        """Take a replica over that an earlier controller has started; False if it has ended."""
        try:
            name = ReplicaID(record.uid, state.id).to_full_id_str()
            self._handles[record.uid] = skate.get_actor(name, namespace=SERVE_NAMESPACE)
        except ValueError:
            return False
        self.watch(state, record.uid)
        return True

    # -- watching ----------------------------------------

    def watch(self, state: DeploymentState, uid: str) -> None:
        """Notice when a replica dies or is ill."""
        self._spawn(uid, self._await_death(state, uid))
        self._spawn(uid, self._check_health(state, uid))
        record = state.replicas.get(uid)
        if record is not None and record.facts is not None and record.facts.records_stats:
            self._spawn(uid, self._watch_stats(state, uid))

    async def _await_death(self, state: DeploymentState, uid: str) -> None:
        handle = self._handles[uid]
        try:
            await handle.wait_for_end.remote()
        except exceptions.RayActorError as error:
            state.unhealthy(uid, str(error).partition("\n")[0], fatal=True)
            self._changed()

    async def _check_health(self, state: DeploymentState, uid: str) -> None:
        handle = self._handles[uid]
        while True:
            config = state.target.config if state.target is not None else None
            if config is None:
                return
            await asyncio.sleep(config.health_check_period_s)
            ref = handle.check_health.remote()
            try:
                await asyncio.wait_for(asyncio.shield(ref.as_future()), config.health_check_timeout_s)
            except asyncio.CancelledError:
                raise
            except TimeoutError:
                state.unhealthy(uid, f"no answer to a health check in {config.health_check_timeout_s} s")
            except exceptions.RayActorError as error:
                state.unhealthy(uid, str(error).partition("\n")[0], fatal=True)
            except Exception as error:  # noqa: BLE001 -- whatever a user's check raises says that it is ill
                state.unhealthy(uid, _words(error))
            else:
                state.healthy(uid)
            self._changed()

    async def _watch_stats(self, state: DeploymentState, uid: str) -> None:
        """Ask a replica now and then what its router wants to know of it."""
        handle = self._handles[uid]
        while state.target is not None and uid in state.replicas:
            config = state.target.config.request_router_config
            try:
                found = await asyncio.wait_for(
                    handle.routing_stats.remote().as_future(), config.request_routing_stats_timeout_s
                )
            except TimeoutError:
                logger.warning("Replica %s said nothing of its routing stats in time.", uid)
            except exceptions.RayActorError:
                return
            except Exception:  # noqa: BLE001 -- the user's method may raise anything: the last word stands
                logger.exception("record_routing_stats of replica %s raised.", uid)
            else:
                record = state.replicas.get(uid)
                if record is not None and record.routing_stats != found:
                    record.routing_stats = found
                    self._changed()
            await asyncio.sleep(config.request_routing_stats_period_s)

    async def load(self, uid: str, timeout: float) -> float:
        """How many requests a replica runs or has in line; 0 if it does not say."""
        handle = self._handles.get(uid)
        if handle is None:
            return 0.0
        try:
            ongoing, _models = await asyncio.wait_for(handle.load.remote().as_future(), timeout)
        except (TimeoutError, exceptions.RayError):
            return 0.0
        return float(ongoing)

    async def stats(self, record: ReplicaRecord, timeout: float) -> dict[str, float]:
        """What a replica tells autoscaling policies; nothing if it does not say."""
        handle = self._handles.get(record.uid)
        if handle is None or record.facts is None or not record.facts.records_scaling:
            return {}
        try:
            found: dict[str, float] = await asyncio.wait_for(
                handle.autoscaling_stats.remote().as_future(), timeout
            )
        except (TimeoutError, exceptions.RayActorError):
            return {}
        except Exception:  # noqa: BLE001 -- the user's method may raise anything: it has said nothing
            logger.exception("record_autoscaling_stats of replica %s raised.", record.uid)
            return {}
        return found

    # -- changing and ending ----------------------------------------

    async def _reconfigure(self, state: DeploymentState, action: Reconfigure) -> None:
        target = state.target
        handle = self._handles.get(action.uid)
        if target is None or handle is None:
            return
        error: str | None = None
        try:
            await handle.reconfigure.remote(target.config, action.rank, state.target_num)
        except asyncio.CancelledError:
            raise
        except Exception as raised:  # noqa: BLE001 -- whatever the user's reconfigure raises is the deployment's message
            error = _words(raised)
        state.reconfigured(action.uid, target.config, error)
        self._changed()

    async def _stop(self, state: DeploymentState, action: Stop) -> None:
        uid = action.uid
        for task in self._tasks.pop(uid, []):
            task.cancel()
        handle = self._handles.get(uid)
        record = state.replicas.get(uid)
        config = state.target.config if state.target is not None else None
        if handle is not None and action.gracefully and config is not None:
            self._changed()  # handles learn of it before the replica refuses what they send
            await self._drain(handle, config.graceful_shutdown_timeout_s)
        self._kill(uid)
        self._forget(uid)
        if record is not None:
            state.stopped(uid)
            self._placement.forget(state, uid, record.gang)
        self._changed()

    async def _drain(self, handle: Any, timeout: float) -> None:
        try:
            await asyncio.wait_for(handle.drain.remote().as_future(), timeout)
        except (TimeoutError, exceptions.RayError):
            pass  # what still runs is cut off, as the time-out says; or it has died already
        try:
            await asyncio.wait_for(handle.close.remote().as_future(), _LAST_WORD_S)
        except (TimeoutError, exceptions.RayError):
            pass  # a destructor that raises or hangs does not keep its replica alive

    def _kill(self, uid: str) -> None:
        handle = self._handles.get(uid)
        if handle is not None:
            skate.kill(handle)

    def journal(self, uid: str) -> str:
        """Where a replica notes what it has begun."""
        return os.path.join(self._folder, "begun", uid)

    def _forget(self, uid: str) -> None:
        if self._handles.pop(uid, None) is not None:
            self._journals.append(self.journal(uid))
            while len(self._journals) > _JOURNALS_KEPT:
                shutil.rmtree(self._journals.popleft(), ignore_errors=True)
        current = asyncio.current_task()
        for task in self._tasks.pop(uid, []):
            if task is not current:
                task.cancel()

    def pid_of(self, record: ReplicaRecord) -> int | None:
        """The process of a replica."""
        return record.facts.pid if record.facts is not None else None

    async def ended(self) -> None:
        """Wait until every replica that was asked to end has done so."""
        while self._ending:
            await asyncio.wait(list(self._ending))


def _words(error: BaseException) -> str:
    return str(error) or repr(error)
