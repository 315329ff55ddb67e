"""The load of what is autoscaled: measured, and handed to what decides about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from skate.serve._private import logs
from skate.serve._private.common import DeploymentID, ReplicaID
from skate.serve._private.controller.application_scaling import ApplicationScaler
from skate.serve._private.controller.application_state import ApplicationState
from skate.serve._private.controller.autoscaling import Autoscaler
from skate.serve._private.controller.cold_start import cold_start
from skate.serve._private.controller.deployment_state import DeploymentState
from skate.serve._private.controller.replicas import Replicas
from skate.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

_PERIOD_S = 0.25
_ANSWER_S = 1.0
_REPORT_LIVES_S = 15.0


class Load:
    """Measures the load, and has the numbers of replicas follow it.

    Args:
        apps: The controller's applications.
        deployments: Its deployments.
        replicas: Their replicas.
        changed: Called when a number has changed.
    """

    def __init__(
        self,
        apps: Mapping[str, ApplicationState],
        deployments: Mapping[DeploymentID, DeploymentState],
        replicas: Replicas,
        changed: Callable[[], None],
    ) -> None:
        self._apps = apps
        self._deployments = deployments
        self._replicas = replicas
        self._changed = changed
        self.scalers: dict[DeploymentID, Autoscaler] = {}
        self.applications: dict[str, ApplicationScaler] = {}
        """Those that have a policy for all their deployments."""
        self.capacity: float | None = None
        """What part of the instance's capacity is used, in per cent; None: all."""
        self._queues: dict[DeploymentID, dict[str, tuple[float, float]]] = {}

    # -- what there is ----------------------------------------

    def configure(self, key: DeploymentID, config: AutoscalingConfig | None) -> None:
        """A deployment is autoscaled so from now on, or with None no more."""
        if config is None:
            self.scalers.pop(key, None)
            return
        known = self.scalers.get(key)
        code = config.policy.get_serialized_policy_def()
        if known is None or known.config != config or known.config.policy.get_serialized_policy_def() != code:
            self.scalers[key] = Autoscaler(key, config)

    def set_policy(self, app: str, policy: AutoscalingPolicy | None) -> None:
        """One policy scales all deployments of an application from now on, or with None each its own."""
        if policy is None:
            self.applications.pop(app, None)
        else:
            self.applications[app] = ApplicationScaler(app, policy)

    def forget(self, key: DeploymentID) -> None:
        """A deployment is gone."""
        self.scalers.pop(key, None)
        self._queues.pop(key, None)

    def report(self, key: DeploymentID, handle: str, queued: int) -> None:
        """A handle says how many requests wait in it."""
        if key not in self._deployments:
            return
        self._queues.setdefault(key, {})[handle] = (time.time(), queued)
        scaler = self.scalers.get(key)
        if scaler is not None and queued and self._deployments[key].target_num == 0 and self._follows(key):
            context = self._context(key, scaler, 0.0, {})
            first = cold_start(context)
            if first is not None:
                self._scale(key, scaler.settle(context, first))

    # -- the loop ----------------------------------------

    async def run(self) -> None:
        """Measure and decide, for ever."""
        while True:
            contexts = {}
            for key, scaler in list(self.scalers.items()):
                if self._follows(key):
                    contexts[key] = await self._measure(key, scaler)
            shared: dict[str, dict[DeploymentID, AutoscalingContext]] = {}
            for key, context in contexts.items():
                if key.app_name in self.applications:
                    shared.setdefault(key.app_name, {})[key] = context
                else:
                    self._decide(key, context)
            for app, theirs in shared.items():
                self._decide_together(app, theirs)
            await asyncio.sleep(_PERIOD_S)

    def _follows(self, key: DeploymentID) -> bool:
        """Whether the number of replicas follows the load now."""
        state, app = self._deployments.get(key), self._apps.get(key.app_name)
        return (
            state is not None
            and app is not None
            and state.serves
            and not (state.deleting or app.external_scaler_enabled)
        )

    async def _measure(self, key: DeploymentID, scaler: Autoscaler) -> AutoscalingContext:
        records = self._deployments[key].running()
        loads = await asyncio.gather(*(self._replicas.load(record.uid, _ANSWER_S) for record in records))
        said = await asyncio.gather(*(self._replicas.stats(record, _ANSWER_S) for record in records))
        stats = {ReplicaID(record.uid, key): each for record, each in zip(records, said, strict=True)}
        return self._context(key, scaler, sum(loads), stats)

    def _context(
        self,
        key: DeploymentID,
        scaler: Autoscaler,
        running: float,
        stats: Mapping[ReplicaID, dict[str, float]],
    ) -> AutoscalingContext:
        state, now = self._deployments[key], time.time()
        reports = self._queues.get(key, {})
        for handle in [h for h, (when, _) in reports.items() if now - when > _REPORT_LIVES_S]:
            del reports[handle]
        scaler.observe(now, running, sum(queued for _, queued in reports.values()), stats)
        scaler.capacity = self.capacity
        ids = [ReplicaID(record.uid, key) for record in state.running()]
        return scaler.context(now, len(ids), state.target_num, ids)

    def _decide(self, key: DeploymentID, context: AutoscalingContext) -> None:
        scaler = self.scalers.get(key)
        if scaler is None:
            return  # it has changed while it was measured
        try:
            self._scale(key, scaler.decide(context))
        except Exception:  # noqa: BLE001 -- a user's policy may raise anything; the others go on
            logs.logger.exception("The autoscaling policy of %s raised.", key)

    def _decide_together(self, app: str, contexts: dict[DeploymentID, AutoscalingContext]) -> None:
        try:
            wanted, states = self.applications[app].decide(contexts)
            for key, context in contexts.items():
                scaler = self.scalers.get(key)
                if scaler is not None:
                    scaler.state = states.get(key, {})
                    if key in wanted:
                        self._scale(key, scaler.settle(context, wanted[key]))
        except Exception:  # noqa: BLE001 -- a user's policy may raise anything; the others go on
            logs.logger.exception("The autoscaling policy of application %s raised.", app)

    def _scale(self, key: DeploymentID, number: int) -> None:
        state = self._deployments.get(key)
        if state is not None and number != state.target_num:
            state.scale(number)
            self._changed()
