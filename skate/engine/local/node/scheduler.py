"""Leases, the worker pool and the placing of actors, as a pure state machine.

Clients tell how many workers of a shape (resources and environment) they could use: a *lane* with a *demand*. The scheduler grants
leases in turn while resources last, starts workers when it has none idle, and asks for leases back when somebody else waits. Events
are method calls; what must be done about them is appended to `out` as tuples, for the process around it to carry out:

    ("start", env)                       start a worker with that environment
    ("grant", client, lane, worker)      tell the client that the worker is its own
    ("place", actor, worker)             make that worker the actor's process
    ("reclaim", client, worker)          ask for the lease back
    ("kill", worker)                     end the process: its client is gone, or it is idle for too long
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from skate.engine.local.node.resources import Holding, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

IDLE = "idle"
STARTING = "starting"
LEASED = "leased"
ACTOR = "actor"
RETIRED = "retired"

Key = tuple[int, int]
"""(client, lane), or (-1, actor) for an actor that waits for its place."""


class Worker:
    """A process of the pool."""

    __slots__ = ("blocked", "env", "holding", "idle_since", "lane", "number", "reclaiming", "state")

    def __init__(self, number: int, env: str) -> None:
        self.number = number
        self.env = env
        self.state = STARTING
        self.holding: Holding | None = None
        self.lane: Key | None = None
        self.blocked = False
        self.reclaiming = False
        self.idle_since = 0.0


class Lane:
    """What one client could use of one shape."""

    __slots__ = ("demand", "env", "granted", "key", "resources")

    def __init__(self, key: Key, resources: dict[str, int], env: str) -> None:
        self.key = key
        self.resources = resources
        self.env = env
        self.demand = 0
        self.granted: set[int] = set()


class Scheduler:
    """Decides who gets which worker."""

    def __init__(self, total: Mapping[str, float], keep_idle: int, idle_seconds: float = 5.0) -> None:
        self.resources = Resources(total)
        self.workers: dict[int, Worker] = {}
        self.lanes: OrderedDict[Key, Lane] = OrderedDict()
        self.keep_idle = keep_idle
        self.idle_seconds = idle_seconds
        self.out: list[tuple[Any, ...]] = []
        self._idle: dict[str, list[int]] = {}
        self._asked: dict[str, int] = {}
        """Workers that are to be started and have not been forked yet."""
        self._starting: dict[str, int] = {}
        """Workers that have been forked and are not ready yet."""
        self._waiting: OrderedDict[Key, Lane] = OrderedDict()

    # -- workers ----------------------------------------

    def worker_started(self, number: int, env: str) -> None:
        """A worker has been forked; it is not ready yet."""
        self.workers[number] = Worker(number, env)
        self._starting[env] = self._starting.get(env, 0) + 1
        self._asked[env] = max(0, self._asked.get(env, 0) - 1)

    def prestart(self, count: int) -> None:
        """Start workers before anybody asks."""
        for _ in range(count):
            self._start("")

    def _start(self, env: str) -> None:
        self._asked[env] = self._asked.get(env, 0) + 1
        self.out.append(("start", env))

    def worker_ready(self, number: int, now: float) -> None:
        """A worker listens."""
        worker = self.workers.get(number)
        if worker is None or worker.state != STARTING:
            return
        self._starting[worker.env] -= 1
        self._make_idle(worker, now)
        self.schedule()

    def worker_died(self, number: int) -> Key | None:
        """A worker is gone. Returns the lane that had it, if any."""
        worker = self.workers.pop(number, None)
        if worker is None:
            return None
        lane_key = worker.lane
        if worker.state == STARTING:
            self._starting[worker.env] -= 1
        elif worker.state == IDLE:
            self._idle[worker.env].remove(number)
        self._free(worker)
        if lane_key is not None and lane_key in self.lanes:
            lane = self.lanes[lane_key]
            lane.granted.discard(number)
            self._update_waiting(lane)
        self.schedule()
        return lane_key

    def retire(self, number: int) -> None:
        """A leased worker will end soon: it gets no other lease."""
        worker = self.workers.get(number)
        if worker is not None and worker.state == LEASED:
            worker.state = RETIRED

    def start_failed(self, env: str) -> list[Key]:
        """Workers of that environment can't be made: the lanes (and actors) that wait for one are given up."""
        self._asked.pop(env, None)
        given_up = [key for key, lane in self._waiting.items() if lane.env == env]
        for key in given_up:
            self._waiting.pop(key).demand = 0
            if key[0] < 0:
                self.lanes.pop(key, None)
        return given_up

    def tick(self, now: float) -> None:
        """End workers that have been idle for long, down to as many as there are CPUs."""
        count = sum(len(numbers) for numbers in self._idle.values())
        for env, numbers in self._idle.items():
            for number in list(numbers):
                spare = count > self.keep_idle or env != ""
                if spare and now - self.workers[number].idle_since > self.idle_seconds:
                    numbers.remove(number)
                    count -= 1
                    self.workers[number].state = RETIRED
                    self.out.append(("kill", number))

    def _make_idle(self, worker: Worker, now: float) -> None:
        worker.state = IDLE
        worker.idle_since = now
        self._idle.setdefault(worker.env, []).append(worker.number)

    def _free(self, worker: Worker) -> None:
        if worker.holding is not None:
            if worker.blocked:
                self.resources.take_cpu_back(worker.holding)
            self.resources.release(worker.holding)
        worker.holding = None
        worker.lane = None
        worker.blocked = False
        worker.reclaiming = False

    # -- leases ----------------------------------------

    def open_lane(self, client: int, lane: int, resources: dict[str, int], env: str) -> bool:
        """A client has work of a new shape. False if its resources exceed what the node has in all."""
        key = (client, lane)
        self.lanes[key] = Lane(key, resources, env)
        return self.resources.feasible(resources)

    def set_demand(self, client: int, lane: int, count: int) -> None:
        """How many workers the client could use at once, those it has included."""
        entry = self.lanes.get((client, lane))
        if entry is None:
            return
        entry.demand = count
        self._update_waiting(entry)
        self.schedule()

    def release(self, client: int, worker_number: int, now: float) -> None:
        """The client gives a lease back."""
        worker = self.workers.get(worker_number)
        if worker is None or worker.lane is None or worker.lane[0] != client:
            return
        lane = self.lanes[worker.lane]
        lane.granted.discard(worker_number)
        self._free(worker)
        if worker.state != RETIRED:
            self._make_idle(worker, now)
        self._update_waiting(lane)
        self.schedule()

    def client_left(self, client: int) -> None:
        """A client is gone: its demands end, and the workers that ran for it are killed, as nobody wants their work."""
        for key in [k for k in self.lanes if k[0] == client]:
            lane = self.lanes.pop(key)
            self._waiting.pop(key, None)
            for number in lane.granted:
                self.out.append(("kill", number))
        self.schedule()

    def blocked(self, number: int) -> None:
        """A worker waits for others: its CPU is free meanwhile."""
        worker = self.workers.get(number)
        if worker is not None and worker.holding is not None and not worker.blocked:
            worker.blocked = True
            self.resources.lend_cpu(worker.holding)
            self.schedule()

    def unblocked(self, number: int) -> None:
        """It goes on."""
        worker = self.workers.get(number)
        if worker is not None and worker.holding is not None and worker.blocked:
            worker.blocked = False
            self.resources.take_cpu_back(worker.holding)
            self.schedule()  # whoever starves may now ask for this lease too

    # -- actors ----------------------------------------

    def want_actor(self, actor: int, resources: dict[str, int], env: str) -> bool:
        """An actor waits for a process of its own. False if its resources exceed what the node has in all."""
        key = (-1, actor)
        lane = Lane(key, resources, env)
        lane.demand = 1
        self.lanes[key] = lane
        self._waiting[key] = lane
        feasible = self.resources.feasible(resources)
        self.schedule()
        return feasible

    def drop_actor(self, actor: int) -> None:
        """The actor that waits is not wanted any more."""
        self.lanes.pop((-1, actor), None)
        self._waiting.pop((-1, actor), None)

    def hold_only(self, number: int, resources: dict[str, int]) -> None:
        """The actor in that worker has been constructed: from now on it holds just `resources`."""
        worker = self.workers.get(number)
        if worker is not None and worker.holding is not None and worker.holding.amounts != resources:
            if worker.blocked:
                self.resources.take_cpu_back(worker.holding)
                worker.blocked = False
            self.resources.resize(worker.holding, resources)
            self.schedule()

    # -- the decision ----------------------------------------

    def _update_waiting(self, lane: Lane) -> None:
        if lane.demand > len(lane.granted):
            if lane.key not in self._waiting:
                self._waiting[lane.key] = lane
        else:
            self._waiting.pop(lane.key, None)

    def schedule(self) -> None:
        """Grant what can be granted, start the workers that are missing, and ask for leases back."""
        if not self._waiting:
            return
        to_start: dict[str, int] = {}
        promised: dict[str, int] = {}
        free = self.resources.free
        starved = False
        progress = True
        while progress:
            progress = False
            for key in list(self._waiting):
                lane = self._waiting.get(key)
                if lane is None or not self.resources.fits(lane.resources):
                    continue
                idle = self._idle.get(lane.env)
                if idle:
                    self._assign(lane, idle.pop())
                    progress = True
        for lane in self._waiting.values():
            missing = lane.demand - len(lane.granted)
            while missing > 0:
                # What is promised to workers that start now is not free for the next in the queue.
                if any(free.get(n, 0) - promised.get(n, 0) < a for n, a in lane.resources.items()):
                    starved = starved or self.resources.feasible(lane.resources)
                    break
                for name, amount in lane.resources.items():
                    promised[name] = promised.get(name, 0) + amount
                to_start[lane.env] = to_start.get(lane.env, 0) + 1
                missing -= 1
                if not lane.resources and to_start[lane.env] >= 16:
                    break
        for env, count in to_start.items():
            for _ in range(count - self._starting.get(env, 0) - self._asked.get(env, 0)):
                self._start(env)
        if starved:
            self._reclaim()

    def _assign(self, lane: Lane, number: int) -> None:
        worker = self.workers[number]
        worker.holding = self.resources.acquire(lane.resources)
        del self._waiting[lane.key]
        if lane.key[0] < 0:
            worker.state = ACTOR
            del self.lanes[lane.key]
            self.out.append(("place", lane.key[1], number))
            return
        worker.state = LEASED
        worker.lane = lane.key
        lane.granted.add(number)
        if lane.demand > len(lane.granted):
            self._waiting[lane.key] = lane  # at the end of the queue: the others come first
        self.out.append(("grant", lane.key[0], lane.key[1], number))

    def _reclaim(self) -> None:
        waiting = [lane for lane in self._waiting.values() if self.resources.feasible(lane.resources)]
        needed = sum(lane.demand - len(lane.granted) for lane in waiting)
        waiting_keys = {lane.key for lane in waiting}
        asked = sum(worker.reclaiming for worker in self.workers.values())
        for worker in self.workers.values():
            if asked >= needed:
                return
            if worker.state != LEASED or worker.reclaiming or worker.lane is None or worker.blocked:
                continue
            if waiting_keys == {worker.lane}:
                continue  # the only one who waits has it already
            worker.reclaiming = True
            asked += 1
            self.out.append(("reclaim", worker.lane[0], worker.number))
