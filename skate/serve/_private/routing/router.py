"""All requests of this process to one deployment: they go straight to a replica, or wait here until one has room."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cloudpickle

import skate
from skate import exceptions
from skate.serve._private import client
from skate.serve._private.common import DeploymentID, DeploymentTargets, RequestMeta, RunningReplica
from skate.serve._private.constants import SERVE_NAMESPACE
from skate.serve._private.errors import DeploymentGone, RequestRejected
from skate.serve._private.replica.journal import has_begun
from skate.serve._private.routing.choice import shorter_of_two
from skate.serve._private.routing.request import Request
from skate.serve._private.routing.watch import Watch
from skate.serve._private.utils import get_random_string
from skate.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
)

if TYPE_CHECKING:
    from skate.serve._private.routing.custom import CustomChoice

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.2


class Slot:
    """A replica as this process sees it."""

    __slots__ = ("_numbers", "deployment", "gone", "handle", "info", "limit", "ongoing", "retry_at", "router")

    def __init__(self, info: RunningReplica, deployment: DeploymentID, router: str) -> None:
        self.info = info
        self.deployment = deployment
        self.router = router
        """The id of the router that sends from here."""
        self._numbers = itertools.count(1)
        self.limit = info.max_ongoing_requests
        self.ongoing = 0
        """Requests sent from here that have no answer yet."""
        self.retry_at = 0.0
        self.gone = False
        self.handle = skate.get_actor(info.actor, namespace=SERVE_NAMESPACE)

    def send(self, request: Request) -> Any:
        """Send a request; returns the ref of its answer or the generator of its answers."""
        number = request.number = next(self._numbers)
        meta = request.meta.packed(self.router, number)
        return getattr(self.handle, request.kind).remote(meta, *request.args, **request.kwargs)

    def has_died(self, error: BaseException) -> bool:
        """Whether an error says that this replica is dead, and not an actor that it, or what made its arguments, has called."""
        if isinstance(error, exceptions.RayTaskError):
            return False
        return (
            isinstance(error, exceptions.ActorDiedError | exceptions.ActorUnavailableError)
            and error.actor_id == self.handle._actor_id.hex()
        )

    def never_began(self, request: Request) -> bool:
        """Whether the replica, which is dead, had surely not begun a request."""
        return not has_begun(self.info.journal, self.router, request.number)


class Router:
    """Requests of this process to one deployment."""

    def __init__(self, deployment: DeploymentID) -> None:
        self.deployment = deployment
        self.lock = threading.RLock()
        self.id = get_random_string(12)
        self.known = threading.Event()
        """Set once the controller has said what there is."""
        self.slots: dict[str, Slot] = {}
        self._targets = DeploymentTargets()
        self._ready: list[Slot] = []
        self._pending: deque[Request] = deque()
        self._timer: threading.Timer | None = None
        self._reported = 0
        self._listeners: list[Callable[[], None]] = []
        self._ended: str | None = None
        self._custom: CustomChoice | None = None
        self._custom_from = b""
        self._watch = Watch(f"targets:{deployment.app_name}#{deployment.name}", self._news, self._report)

    # -- what is known ----------------------------------------

    @property
    def targets(self) -> DeploymentTargets:
        """What the controller said last."""
        return self._targets

    @property
    def queued(self) -> int:
        """Requests that wait here."""
        return len(self._pending)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back, on any thread, whenever what is known has changed."""
        self._listeners.append(callback)

    def _news(self, value: Any) -> None:
        if value is None:
            self._stop("Serve has been shut down.")
            return
        targets = DeploymentTargets(*value)
        with self.lock:
            self._targets = targets
            fresh: dict[str, Slot] = {}
            for given in targets.replicas:
                info = RunningReplica(*given)
                slot = self.slots.get(info.id)
                if slot is None:
                    try:
                        slot = Slot(info, self.deployment, self.id)
                    except ValueError:
                        continue  # it has ended since: the next news will say so
                slot.info = info
                slot.limit = info.max_ongoing_requests
                fresh[info.id] = slot
            self.slots = fresh
            self._ready = [slot for slot in fresh.values() if not slot.gone]
        self._take_custom(targets.router)
        if targets.deleted:
            self._stop(f"{self.deployment} has been deleted.")
            return
        self.known.set()
        if not targets.available:
            self._fail_all(DeploymentUnavailableError(self.deployment))
        for callback in self._listeners:
            callback()
        self._pump()

    def _stop(self, why: str) -> None:
        """There will be no more answers: the deployment or Serve is gone."""
        self._ended = why
        self._watch.end()
        self.known.set()
        forget_router(self)
        if self._custom is not None:
            self._custom.end()
        self._fail_all(DeploymentGone(self.deployment, why))
        for callback in self._listeners:
            callback()

    def _fail_all(self, error: Exception) -> None:
        with self.lock:
            waiting = list(self._pending)
            self._pending.clear()
        for request in waiting:
            self.fail(request, error)

    def _report(self) -> Any:
        self._reported = len(self._pending)
        return self.id, self._reported

    # -- requests ----------------------------------------

    def submit(self, request: Request) -> None:
        """A request has been made and its arguments are there: send it, or keep it until there is room."""
        if self._ended is not None:
            self.fail(request, DeploymentGone(self.deployment, self._ended))
            return
        with self.lock:
            slot = None if self._pending or self._custom is not None else self._choose(request)
            if slot is None:
                if not self._targets.available:
                    error: Exception | None = DeploymentUnavailableError(self.deployment)
                else:
                    error = self._too_many()
                if error is None:
                    self._pending.append(request)
            else:
                error = None
                slot.ongoing += 1
        if slot is not None:
            self._send(slot, request)
        elif error is not None:
            self.fail(request, error)
        else:
            self._queue_changed()
            self._pump()  # room may have appeared, or news come, meanwhile

    def _too_many(self) -> BackPressureError | None:
        most = self._targets.max_queued_requests
        waiting = len(self._pending)
        if most < 0 or waiting < most or not self.known.is_set():
            return None
        if self._custom is not None and any(slot.ongoing < slot.limit for slot in self._ready):
            return None  # those that wait do so only until they are routed
        status, after = self._targets.backpressure
        return BackPressureError(waiting, most, status, after)

    def _take_custom(self, pickled: bytes) -> None:
        """Use the router that the deployment names, if it is not the default one."""
        if pickled != self._custom_from:
            from skate.serve._private.routing.custom import CustomChoice

            self._custom_from = pickled
            old = self._custom
            self._custom = CustomChoice(self, cloudpickle.loads(pickled)) if pickled else None
            if old is not None:
                old.end()
        if self._custom is not None:
            self._custom.update(self._ready)

    # -- for a user's router ----------------------------------------

    def first_waiting(self) -> Request | None:
        """The request that has waited longest."""
        with self.lock:
            return self._pending[0] if self._pending else None

    def take(self, request: Request, slot: Slot) -> bool:
        """Send the first of those that wait to a replica; False if it waits no more, or the replica has no room."""
        with self.lock:
            if not self._pending or self._pending[0] is not request or slot.ongoing >= slot.limit:
                return False
            self._pending.popleft()
            slot.ongoing += 1
        self._send(slot, request)
        self._queue_changed()
        return True

    def drop(self, request: Request, error: BaseException) -> None:
        """Fail a request that waits."""
        with self.lock:
            if request in self._pending:
                self._pending.remove(request)
        self.fail(request, error)

    def _choose(self, request: Request) -> Slot | None:
        candidates = self._ready
        wanted = request.meta.multiplexed_model_id
        if wanted and len(candidates) > 1:
            # Where the model is loaded, while there is room; otherwise where the fewest are.
            holders = [slot for slot in candidates if wanted in slot.info.model_ids]
            chosen = shorter_of_two(holders, time.monotonic())
            if chosen is not None:
                return chosen
            fewest = min(len(slot.info.model_ids) for slot in candidates)
            candidates = [slot for slot in candidates if len(slot.info.model_ids) == fewest] or candidates
        return shorter_of_two(candidates, time.monotonic()) or (
            shorter_of_two(self._ready, time.monotonic()) if wanted else None
        )

    def send_to_place(self, place: Request, request: Request) -> None:
        """Send a request where another has kept a place for it; it goes nowhere else."""
        slot = place.slot
        assert slot is not None
        request.pinned = True
        if slot.gone:
            self.give_back(place)
            self.fail(request, ReplicaUnavailableError(slot.info.id))
        else:
            self._send(slot, request)

    def give_back(self, place: Request) -> None:
        """Nobody needs a place that was kept."""
        assert place.slot is not None
        with self.lock:
            place.slot.ongoing -= 1
        self._pump()

    def _send(self, slot: Slot, request: Request) -> None:
        try:
            sent: Any = slot if request.reserves else slot.send(request)
        except Exception as error:  # noqa: BLE001 -- arguments that can't be pickled, for one: the caller is told
            with self.lock:
                slot.ongoing -= 1
            cause = error.__cause__
            self.fail(request, cause if isinstance(cause, RayServeException) else error)
            return
        with self.lock:
            request.sent = sent
            request.slot = slot
            callbacks = request.take_callbacks()
            cancelled = request.cancelled
        for callback in callbacks:
            callback()
        if request.reserves:
            if cancelled:
                self.give_back(request)
            return
        if self._custom is not None:
            self._custom.routed(slot, request, sent)
        if cancelled:
            skate.cancel(sent)
        done = sent.completed() if request.stream else sent
        done._on_settled(lambda failed: self._settled(slot, request, sent, failed))

    def _settled(self, slot: Slot, request: Request, sent: Any, failed: bool) -> None:
        """An answer has come."""
        with self.lock:
            slot.ongoing -= 1
        if failed and not request.stream:
            self._look_at_failure(request, sent)
        if request.sent is sent:
            request.finish()
            if self._custom is not None:
                self._custom.completed(slot, request)
        if self._pending:
            self._pump()

    def _look_at_failure(self, request: Request, sent: Any) -> None:
        try:
            skate.get(sent)
        except Exception as error:  # noqa: BLE001 -- if it is the user's own, whoever holds the response is told
            self.failed(request, sent, error)

    def failed(self, request: Request, sent: Any, error: BaseException) -> bool:
        """What a request that was sent has ended in: True if it is made again, as no replica had begun it.

        Args:
            request: The request.
            sent: What sending it gave; it may have been sent again since.
            error: What came of that.
        """
        slot = request.slot
        if request.sent is not sent or slot is None:
            return True  # seen already
        if isinstance(error, RequestRejected):
            if not request.pinned:
                self.rejected(slot, request, sent, error)
                return True
        else:
            if not slot.has_died(error):
                return False
            self.lost(slot)
            if request.cancelled or not slot.never_began(request):
                return False
        if request.pinned:
            with self.lock:
                request.sent = None
            self.fail(request, ReplicaUnavailableError(slot.info.id))
        else:
            self._queue_again(request, sent)
        return True

    def _queue_again(self, request: Request, sent: Any) -> None:
        """Put a request that was sent before those that came after it."""
        with self.lock:
            if request.sent is sent:
                request.sent = None
                request.slot = None
                request.attempts += 1
                self._pending.appendleft(request)
        self._pump()

    def lost(self, slot: Slot) -> None:
        """The replica is dead: nothing more goes there."""
        with self.lock:
            if slot.gone:
                return
            slot.gone = True
            self._ready = [other for other in self._ready if other is not slot]
        if self._custom is not None:
            self._custom.died(slot)
        controller = client.controller_or_none()
        if controller is not None:
            controller.suspect.remote(self.deployment.app_name, self.deployment.name, slot.info.id)

    def rejected(self, slot: Slot, request: Request, sent: Any, how: RequestRejected) -> None:
        """The replica was full, or is about to end: the request waits again."""
        with self.lock:
            if request.sent is not sent:
                return  # seen already
            if how.leaving:
                slot.gone = True
                self._ready = [other for other in self._ready if other is not slot]
            else:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(request.attempts + 1, 8))
                slot.retry_at = time.monotonic() + pause
        self._queue_again(request, sent)

    def fail(self, request: Request, error: BaseException) -> None:
        """The request will not be made."""
        with self.lock:
            if request.sent is not None or request.error is not None:
                return
            request.error = error
            callbacks = request.take_callbacks()
        for callback in callbacks:
            callback()
        request.finish()

    def cancel(self, request: Request, error: BaseException) -> None:
        """Take a request back, wherever it is."""
        with self.lock:
            request.cancelled = True
            sent = request.sent
            if sent is None and request in self._pending:
                self._pending.remove(request)
        if sent is None:
            self.fail(request, error)
            self._queue_changed()
        elif not request.reserves:
            skate.cancel(sent)

    def _pump(self) -> None:
        """Send what waits, as long as there is room."""
        if self._custom is not None:
            self._custom.wake()
            return
        sent_any = False
        while True:
            with self.lock:
                if not self._pending:
                    break
                request = self._pending[0]
                slot = self._choose(request)
                if slot is None:
                    self._wake_later()
                    break
                self._pending.popleft()
                slot.ongoing += 1
            sent_any = True
            self._send(slot, request)
        if sent_any:
            self._queue_changed()

    def _wake_later(self) -> None:
        """Look again when a replica that was full may have room (with the lock held)."""
        now = time.monotonic()
        times = [slot.retry_at for slot in self._ready if slot.retry_at > now and slot.ongoing < slot.limit]
        if not times or self._timer is not None:
            return
        self._timer = threading.Timer(min(times) - now, self._woken)
        self._timer.daemon = True
        self._timer.start()

    def _woken(self) -> None:
        with self.lock:
            self._timer = None
        self._pump()

    def _queue_changed(self) -> None:
        """Tell the controller at once when a queue appears or disappears: it may have to add replicas."""
        waiting = len(self._pending)
        if bool(waiting) != bool(self._reported):
            self._reported = waiting
            controller = client.controller_or_none()
            if controller is not None:
                controller.handle_reports.remote(
                    self.deployment.app_name, self.deployment.name, self.id, waiting
                )

    def end(self) -> None:
        """Follow the news no more."""
        self._watch.end()
        if self._custom is not None:
            self._custom.end(wait=True)
        timer = self._timer
        if timer is not None:
            timer.cancel()


_routers: dict[DeploymentID, Router] = {}
_guard = threading.Lock()


def router_for(deployment: DeploymentID) -> Router:
    """The router of this process for a deployment."""
    with _guard:
        found = _routers.get(deployment)
    if found is not None:
        return found
    made = Router(deployment)
    with _guard:
        found = _routers.setdefault(deployment, made)
    if found is not made:
        made.end()
    return found


def forget_router(router: Router) -> None:
    """The deployment is gone; a new one of that name gets a new router."""
    with _guard:
        if _routers.get(router.deployment) is router:
            del _routers[router.deployment]


def _forget_all() -> None:
    with _guard:
        routers = list(_routers.values())
        _routers.clear()
    for router in routers:
        router.end()


client.when_forgotten(_forget_all)

__all__ = ["RequestMeta", "Router", "Slot", "forget_router", "router_for"]
