"""One deployment: which replicas there should be, which there are, and the steps from one to the other. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from skate.serve._private.common import DeploymentID, DeploymentStatus, DeploymentStatusTrigger, ReplicaState
from skate.serve._private.config import DeploymentConfig
from skate.serve._private.constants import (
    MAX_PER_REPLICA_RETRY_COUNT,
    REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD,
)
from skate.serve._private.replica.spec import ReplicaFacts
from skate.serve._private.utils import get_random_string
from skate.serve.config import GangRuntimeFailurePolicy

_RESTART_GANG = GangRuntimeFailurePolicy.RESTART_GANG
_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 60.0
_MORE_ILLS = 2
"""A new version is given up when it has lost so many replicas more than it should have."""


@dataclass
class Target:
    """What a deployment should be. `version` names its code, arguments and resources: another one needs new replicas."""

    version: str
    config: DeploymentConfig
    definition: bytes
    arguments: bytes
    actor_options: dict[str, object]
    is_ingress: bool = False
    definition_name: str = ""
    path: tuple[str, ...] = ()
    """Folders in which replicas look for modules first."""
    bundles: list[dict[str, float]] = field(default_factory=list)
    """The placement group that each replica runs in; empty: none."""
    strategy: str = "PACK"
    selectors: list[dict[str, str]] | None = None
    max_replicas_per_node: int | None = None

    @property
    def gang_size(self) -> int:
        """How many replicas start and end together."""
        gang = self.config.gang_scheduling_config
        return 1 if gang is None else gang.gang_size


@dataclass
class ReplicaRecord:
    """A replica as the controller knows it."""

    uid: str
    version: str
    state: ReplicaState
    rank: int
    since: float
    config: DeploymentConfig
    facts: ReplicaFacts | None = None
    strikes: int = 0
    """Health checks in a row that failed."""
    model_ids: tuple[str, ...] = ()
    routing_stats: dict[str, Any] = field(default_factory=dict)
    gang: str = ""
    """The gang it belongs to; empty: none."""
    gang_rank: int = 0


@dataclass(frozen=True)
class Start:
    """Start a replica of the target's version."""

    uid: str
    rank: int
    gang: str = ""
    gang_rank: int = 0
    members: tuple[str, ...] = ()
    """The gang's replicas, by rank."""


@dataclass(frozen=True)
class Stop:
    """End a replica: by draining it, or at once."""

    uid: str
    gracefully: bool


@dataclass(frozen=True)
class Reconfigure:
    """Hand a running replica the target's options."""

    uid: str
    rank: int


Action = Start | Stop | Reconfigure


@dataclass
class DeploymentState:
    """The state machine of one deployment.

    Args:
        id: Which.
        new_uid: Makes names for replicas.
    """

    id: DeploymentID
    new_uid: Callable[[], str] = get_random_string
    target: Target | None = None
    target_num: int = 0
    replicas: dict[str, ReplicaRecord] = field(default_factory=dict)
    status: DeploymentStatus = DeploymentStatus.UPDATING
    trigger: DeploymentStatusTrigger = DeploymentStatusTrigger.CONFIG_UPDATE_STARTED
    message: str = ""
    deleting: bool = False
    failures: int = 0
    """Replicas of this version that failed to start, in a row."""
    last_error: str = ""
    gave_up: bool = False
    """Whether the version that was deployed last can't be run."""
    rolled_back: bool = False
    """Whether, as that is so, an earlier version runs again."""
    proven: Target | None = None
    """The last version of which all replicas have run."""
    _proven_num: int = 0
    _before: tuple[Target, int] | None = None
    """The version before the one that has just been proven, and how many replicas it had: while that is on probation."""
    _trusted_at: float = 0.0
    """When the probation ends, if nothing happens until then."""
    _ills: int = 0
    """Replicas of this version that were lost while there was an earlier one to go back to."""
    _ever_ran: bool = False
    _next_start: float = 0.0

    # -- what users ask for ----------------------------------------

    def deploy(self, target: Target, num: int) -> None:
        """The deployment should be this from now on."""
        old = self.target
        scaled_only = (
            old is not None
            and old.version == target.version
            and old.config.model_copy(update={"num_replicas": None, "user_configured_option_names": set()})
            == target.config.model_copy(update={"num_replicas": None, "user_configured_option_names": set()})
        )
        unchanged = scaled_only and num == self.target_num and not self.gave_up
        self.deleting = False
        if unchanged:
            self.target = target
            return
        if old is None or old.version != target.version or self.gave_up:
            self.failures = 0
            self._ever_ran = False
            self._next_start = 0.0
            self._ills = 0
        if self.proven is not None and old is self.proven:
            self._proven_num = self.target_num
        self.gave_up = self.rolled_back = False
        self.message = ""
        self.trigger = DeploymentStatusTrigger.CONFIG_UPDATE_STARTED
        if scaled_only and num != self.target_num:
            self.status = (
                DeploymentStatus.UPSCALING if num > self.target_num else DeploymentStatus.DOWNSCALING
            )
        else:
            self.status = DeploymentStatus.UPDATING
        self.target = target
        self.target_num = num

    def scale(self, num: int) -> None:
        """Autoscaling wants another number of replicas."""
        if num == self.target_num or self.deleting:
            return
        if not self.gave_up:
            up = num > self.target_num
            self.status = DeploymentStatus.UPSCALING if up else DeploymentStatus.DOWNSCALING
            self.trigger = DeploymentStatusTrigger.AUTOSCALING
        self.target_num = num

    def delete(self) -> None:
        """It should not be any more."""
        self.deleting = True
        self.target_num = 0
        self.status = DeploymentStatus.UPDATING
        self.trigger = DeploymentStatusTrigger.DELETING

    @property
    def serves(self) -> bool:
        """Whether there are, or will be, replicas that answer."""
        return self.rolled_back or not self.gave_up

    @property
    def gone(self) -> bool:
        """Whether it has been deleted and nothing of it is left."""
        return self.deleting and not self.replicas

    # -- what happened ----------------------------------------

    def started(self, uid: str, facts: ReplicaFacts) -> None:
        """A replica is ready."""
        record = self.replicas.get(uid)
        if record is None or record.state == ReplicaState.STOPPING:
            return
        record.state = ReplicaState.RUNNING
        record.facts = facts
        record.strikes = 0
        if self.target is not None and record.version == self.target.version:
            self.failures = 0
            self._ever_ran = True

    def start_failed(self, uid: str, error: str, now: float) -> None:
        """A replica's constructor raised, or its process died before it was ready."""
        record = self.replicas.pop(uid, None)
        if record is None or self.target is None or record.version != self.target.version:
            return
        if record.state == ReplicaState.STOPPING:
            return
        self.failures += 1
        self.last_error = error
        self._next_start = now + min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(self.failures - 1, 12))
        limit = min(
            self.target.config.max_constructor_retry_count,
            max(self.target_num, 1) * MAX_PER_REPLICA_RETRY_COUNT,
        )
        cause = (
            f"The deployment failed to start {self.failures} times in a row. This may be due to a problem with its constructor or "
            f"initial health check failing. Error:\n{error}"
        )
        self.message = cause
        if self.failures >= limit and not self._ever_ran:
            proven = None if self.proven is None else (self.proven, self._proven_num)
            self._give_up(DeploymentStatusTrigger.REPLICA_STARTUP_FAILED, proven)

    def _give_up(self, trigger: DeploymentStatusTrigger, earlier: tuple[Target, int] | None) -> None:
        """The version can't be run: the one before it goes on, or comes back."""
        self.gave_up = True
        self.status = DeploymentStatus.DEPLOY_FAILED
        self.trigger = trigger
        if earlier is None:
            return
        self.rolled_back = True
        self.message += "\nThe version before it serves on."
        self.target, self.target_num = earlier
        self.proven, self._before = self.target, None
        self.failures, self._next_start, self._ever_ran = 0, 0.0, True

    def _count_ill(self, record: ReplicaRecord, why: str) -> None:
        """A replica was lost. A new version that loses too many, before or shortly after its update is complete, is rolled back."""
        target = self.target
        if target is None or self.gave_up or self.deleting or record.version != target.version:
            return
        updating = self.proven is not None and self.proven.version != target.version
        earlier = (self.proven, self._proven_num) if updating else self._before
        if earlier is None or earlier[0] is None:
            return
        self._ills += 1
        if self._ills >= self.target_num + _MORE_ILLS:
            self.message = (
                f"{self._ills} replicas of the new version were lost, the last one for this reason: {why}"
            )
            self._give_up(DeploymentStatusTrigger.HEALTH_CHECK_FAILED, (earlier[0], earlier[1]))

    def healthy(self, uid: str) -> None:
        """A health check succeeded."""
        record = self.replicas.get(uid)
        if record is not None:
            record.strikes = 0

    def unhealthy(self, uid: str, why: str, fatal: bool = False) -> None:
        """A health check failed, or with `fatal` the replica's process is gone."""
        record = self.replicas.get(uid)
        if record is None or record.state not in (ReplicaState.RUNNING, ReplicaState.UPDATING):
            return
        record.strikes += 1
        if fatal or record.strikes >= REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD:
            self._ill(f"Replica {uid} of {self.id} is replaced: {why}")
            record.state = ReplicaState.STOPPING
            record.strikes = -1 if fatal else 0  # -1: there is nothing left to drain
            self._to_stop.append(Stop(uid, gracefully=not fatal))
            self._stop_gang(record)
            self._count_ill(record, why)

    def _ill(self, message: str) -> None:
        if not self.gave_up:
            self.status = DeploymentStatus.UNHEALTHY
            self.trigger = DeploymentStatusTrigger.HEALTH_CHECK_FAILED
            self.message = message

    def _stop_gang(self, lost: ReplicaRecord) -> None:
        """A gang that has lost a replica ends as a whole, unless it is configured otherwise."""
        gang = None if self.target is None else self.target.config.gang_scheduling_config
        if not lost.gang or gang is None or gang.runtime_failure_policy != _RESTART_GANG:
            return
        for record in self.replicas.values():
            if record.gang == lost.gang and record.state != ReplicaState.STOPPING:
                self._to_stop.append(self._stop(record))

    def reconfigured(self, uid: str, config: DeploymentConfig, error: str | None) -> None:
        """A replica has taken options over, or its `reconfigure` raised."""
        record = self.replicas.get(uid)
        if record is None:
            return
        if error is None:
            record.config = config
            if record.state == ReplicaState.UPDATING:
                record.state = ReplicaState.RUNNING
            return
        self.unhealthy(uid, f"reconfigure failed: {error}", fatal=False)
        if record.state == ReplicaState.UPDATING:
            record.state = ReplicaState.STOPPING
            self._to_stop.append(Stop(uid, gracefully=True))
        self._ill(f"reconfigure of replica {uid} failed: {error}")

    def give_up_on(self, uid: str) -> None:
        """End a replica without ceremony, whatever it is doing."""
        record = self.replicas.get(uid)
        if record is not None:
            record.state = ReplicaState.STOPPING
            self._to_stop.append(Stop(uid, gracefully=False))

    def stopped(self, uid: str) -> None:
        """A replica has ended."""
        self.replicas.pop(uid, None)

    # -- what to do ----------------------------------------

    _to_stop: list[Stop] = field(default_factory=list)

    def step(self, now: float) -> list[Action]:
        """What to do now."""
        actions: list[Action] = list(self._to_stop)
        self._to_stop = []
        target = self.target
        if target is None:
            return actions
        live = [r for r in self.replicas.values() if r.state != ReplicaState.STOPPING]
        new = [r for r in live if r.version == target.version]
        old = [r for r in live if r.version != target.version]
        if self.deleting or not self.serves:
            doomed = live if self.deleting else [r for r in new if r.state == ReplicaState.STARTING]
            actions += [self._stop(record) for record in doomed]
            return actions
        actions += self._stop_old(old, new)
        live = [r for r in live if r.state != ReplicaState.STOPPING]
        actions += self._match_number(live, now)
        for record in live:
            if (
                record.state == ReplicaState.RUNNING
                and record.version == target.version
                and record.config != target.config
            ):
                record.state = ReplicaState.UPDATING
                actions.append(Reconfigure(record.uid, record.rank))
        self._settle(now)
        return actions

    def _stop_old(self, old: list[ReplicaRecord], new: list[ReplicaRecord]) -> list[Action]:
        """Replicas of another version make room, a few at a time."""
        assert self.target is not None
        actions: list[Action] = [self._stop(r) for r in old if r.state == ReplicaState.STARTING]
        serving = [r for r in old if r.state != ReplicaState.STOPPING]
        ready = [r for r in new if r.state in (ReplicaState.RUNNING, ReplicaState.UPDATING)]
        at_once = max(1, int(self.target_num * self.target.config.rolling_update_percentage))
        missing = max(0, self.target_num - len(ready) - len(serving))
        surge = math.ceil(self.target_num * self.target.config.max_surge_percent / 100)
        allowed = max(0, at_once - missing)
        if surge and len(ready) + len(serving) <= self.target_num:
            allowed = 0  # new ones come first
        too_many = len(ready) + len(serving) - self.target_num
        for record in serving[: max(allowed, too_many)]:
            actions.append(self._stop(record))
        return actions

    def _match_number(self, live: list[ReplicaRecord], now: float) -> list[Action]:
        """Start what is missing, or stop what is too much: those not ready first, then the youngest."""
        assert self.target is not None
        actions: list[Action] = []
        new = [r for r in live if r.version == self.target.version]
        rolling = len(new) < len(live)
        surge = math.ceil(self.target_num * self.target.config.max_surge_percent / 100) if rolling else 0
        missing = min(self.target_num - len(new), self.target_num + surge - len(live))
        size = self.target.gang_size
        if missing > 0 and now >= self._next_start:
            if size == 1:
                actions += [self._start(now) for _ in range(missing)]
            else:
                actions += self._start_gangs(new, missing, now)
        excess = len(new) - self.target_num
        if excess > 0:
            order = sorted(new, key=lambda r: (r.state != ReplicaState.STARTING, -r.since, r.gang))
            actions += [self._stop(record) for record in order[: excess - excess % size]]
        return actions

    def _start_gangs(self, live: list[ReplicaRecord], missing: int, now: float) -> list[Action]:
        """Fill gangs that have lost a replica, then start whole ones."""
        assert self.target is not None
        size = self.target.gang_size
        actions: list[Action] = []
        for gang in sorted({record.gang for record in live}):
            members = {record.gang_rank: record.uid for record in live if record.gang == gang}
            for rank in range(size):
                if rank not in members and missing > 0:
                    members[rank] = self.new_uid()
                    order = tuple(members.get(number, "") for number in range(size))
                    actions.append(self._start(now, members[rank], gang, rank, order))
                    missing -= 1
        for _ in range(missing // size):
            gang, order = self.new_uid(), tuple(self.new_uid() for _ in range(size))
            actions += [self._start(now, uid, gang, rank, order) for rank, uid in enumerate(order)]
        return actions

    def _start(
        self, now: float, uid: str = "", gang: str = "", gang_rank: int = 0, members: tuple[str, ...] = ()
    ) -> Start:
        assert self.target is not None
        taken = {r.rank for r in self.replicas.values() if r.state != ReplicaState.STOPPING}
        rank = next(n for n in range(len(taken) + 1) if n not in taken)
        uid = uid or self.new_uid()
        self.replicas[uid] = ReplicaRecord(
            uid,
            self.target.version,
            ReplicaState.STARTING,
            rank,
            now,
            self.target.config,
            gang=gang,
            gang_rank=gang_rank,
        )
        return Start(uid, rank, gang, gang_rank, members)

    def _stop(self, record: ReplicaRecord) -> Stop:
        gracefully = record.state != ReplicaState.STARTING
        record.state = ReplicaState.STOPPING
        return Stop(record.uid, gracefully)

    def _settle(self, now: float) -> None:
        """Whether it is now as it should be."""
        if self.status == DeploymentStatus.HEALTHY and self._before is not None and now >= self._trusted_at:
            self._before, self._ills = None, 0
        if self.status == DeploymentStatus.HEALTHY or self.gave_up:
            return
        assert self.target is not None
        serving = [r for r in self.replicas.values() if r.state != ReplicaState.STOPPING]
        fine = len(serving) == self.target_num and all(
            r.state == ReplicaState.RUNNING
            and r.version == self.target.version
            and r.config == self.target.config
            for r in serving
        )
        if not fine:
            return
        scaled = self.status in (DeploymentStatus.UPSCALING, DeploymentStatus.DOWNSCALING)
        updated = self.proven is None or self.proven.version != self.target.version
        if self.status == DeploymentStatus.UPSCALING:
            self.trigger = DeploymentStatusTrigger.UPSCALE_COMPLETED
        elif self.status == DeploymentStatus.DOWNSCALING:
            self.trigger = DeploymentStatusTrigger.DOWNSCALE_COMPLETED
        else:
            self.trigger = DeploymentStatusTrigger.CONFIG_UPDATE_COMPLETED
        self.status = DeploymentStatus.HEALTHY
        self.message = ""
        if self.proven is not None and updated:
            self._before = (self.proven, self._proven_num)
        self.proven = self.target
        if updated or not scaled:  # else autoscaling would put it off for ever
            checks = self.target.config
            # As long as it takes to see that a replica hangs.
            self._trusted_at = (
                now
                + REPLICA_HEALTH_CHECK_UNHEALTHY_THRESHOLD * checks.health_check_period_s
                + checks.health_check_timeout_s
            )

    # -- what there is ----------------------------------------

    def running(self) -> list[ReplicaRecord]:
        """Replicas that take requests."""
        return [r for r in self.replicas.values() if r.state in (ReplicaState.RUNNING, ReplicaState.UPDATING)]

    def counts(self) -> dict[ReplicaState, int]:
        """How many replicas are in each state."""
        counts: dict[ReplicaState, int] = {}
        for record in self.replicas.values():
            counts[record.state] = counts.get(record.state, 0) + 1
        return counts
