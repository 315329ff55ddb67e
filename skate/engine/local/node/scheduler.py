"""Leases, the worker pool and the placing of actors, as a pure state machine.

Clients tell how many workers of a shape (resources and environment) they could use: a *lane* with a *demand*. The scheduler grants
leases in turn while resources last, starts workers when it has none idle, and asks for leases back when somebody else waits. A lane
says where its work may go: on which machines, or in which placement group. Events are method calls; what must be done about them is
appended to `out` as tuples, for the process around it to carry out:

    ("start", env, machine)              start a worker with that environment, on that machine
    ("grant", client, lane, worker)      tell the client that the worker is its own
    ("place", actor, worker)             make that worker the actor's process
    ("reclaim", client, worker)          ask for the lease back
    ("kill", worker, why)                end the process: its client, its group or its machine is gone, or it is idle for too long
    ("refuse", client, lane, why, text)  what waits in the lane (an actor, if client is -1) will never have a place
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from skate.engine.local.node.pool import ACTOR, LEASED, NOT_NEEDED, RETIRED, Key, Pool, Worker
from skate.engine.placement.choice import Choice, Place
from skate.engine.placement.groups import REMOVED, Bundle, Group, Groups
from skate.engine.placement.machines import Machine, Machines
from skate.engine.placement.where import ANYWHERE, GROUP, NODE, Where

if TYPE_CHECKING:
    from skate.engine.placement.resources import Resources

UNSCHEDULABLE = "unschedulable"
GROUP_REMOVED = "group"
OUT_OF_MEMORY = "memory"
"""Why something is refused or killed."""


class Lane:
    """What one client could use of one shape."""

    __slots__ = ("closed", "demand", "env", "granted", "home", "key", "resources", "retriable", "where")

    def __init__(
        self, key: Key, resources: dict[str, int], env: str, where: Where, home: str, retriable: bool
    ) -> None:
        self.key = key
        self.resources = resources
        self.env = env
        self.where = where
        self.home = home
        self.retriable = retriable
        self.demand = 0
        self.closed = False
        """The client has forgotten it; it goes when the last lease has come back."""
        self.granted: set[int] = set()


class Scheduler:
    """Decides who gets which worker."""

    def __init__(self, first: Machine, keep_idle: int, idle_seconds: float = 5.0) -> None:
        self.machines = Machines(first)
        self.groups = Groups(self.machines)
        self.choice = Choice(self.machines, self.groups)
        self.out: list[tuple[Any, ...]] = []
        self.pool = Pool(self._say, keep_idle, idle_seconds)
        self.workers = self.pool.workers
        self.lanes: OrderedDict[Key, Lane] = OrderedDict()
        self._counter = 0
        self._waiting: OrderedDict[Key, Lane] = OrderedDict()

    def _say(self, instruction: tuple[Any, ...]) -> None:
        # To the list of now: whoever carries instructions out takes the list away.
        self.out.append(instruction)

    # -- workers ----------------------------------------

    def worker_started(self, number: int, env: str, machine: str = "") -> None:
        """A worker has been forked; it is not ready yet."""
        self.pool.started(number, env, machine or self.machines.first.id)

    def prestart(self, count: int) -> None:
        """Start workers before anybody asks."""
        for _ in range(count):
            self.pool.start("", self.machines.first.id)

    def worker_ready(self, number: int, now: float) -> None:
        """A worker listens."""
        if self.pool.ready(number, now):
            self.schedule()

    def worker_died(self, number: int) -> Key | None:
        """A worker is gone. Returns the lane that had it, if any."""
        worker = self.pool.died(number)
        if worker is None:
            return None
        lane_key = worker.lane
        worker.free()
        if lane_key is not None and lane_key in self.lanes:
            lane = self.lanes[lane_key]
            lane.granted.discard(number)
            self._lease_ended(lane)
        self.schedule()
        return lane_key

    def retire(self, number: int) -> None:
        """A leased worker will end soon: it gets no other lease."""
        worker = self.workers.get(number)
        if worker is not None and worker.state == LEASED:
            worker.state = RETIRED

    def start_failed(self, env: str) -> list[Key]:
        """Workers of that environment can't be made: the lanes (and actors) that wait for one are given up."""
        self.pool.start_failed(env)
        given_up = [key for key, lane in self._waiting.items() if lane.env == env]
        for key in given_up:
            self._waiting.pop(key).demand = 0
            if key[0] < 0:
                self.lanes.pop(key, None)
        return given_up

    def tick(self, now: float) -> None:
        """End workers that have been idle for long, down to as many as there are CPUs."""
        self.pool.tick(now)

    # -- leases ----------------------------------------

    def open_lane(
        self,
        client: int,
        lane: int,
        resources: dict[str, int],
        env: str,
        where: Where = ANYWHERE,
        home: str = "",
        retriable: bool = True,
    ) -> bool:
        """A client has work of a new shape. False if there is no place that could ever hold it."""
        key = (client, lane)
        entry = self.lanes[key] = Lane(key, resources, env, where, home, retriable)
        return self._possible(entry)

    def set_demand(self, client: int, lane: int, count: int) -> None:
        """How many workers the client could use at once, those it has included."""
        entry = self.lanes.get((client, lane))
        if entry is None:
            return
        entry.demand = count
        self._update_waiting(entry)
        self.schedule()

    def close_lane(self, client: int, number: int) -> None:
        """The client has no use for a lane any more."""
        lane = self.lanes.get((client, number))
        if lane is not None:
            lane.demand, lane.closed = 0, True
            self._lease_ended(lane)

    def release(self, client: int, worker_number: int, now: float) -> None:
        """The client gives a lease back."""
        worker = self.workers.get(worker_number)
        if worker is None or worker.lane is None or worker.lane[0] != client:
            return
        lane = self.lanes[worker.lane]
        lane.granted.discard(worker_number)
        worker.free()
        if worker.state != RETIRED:
            self.pool.make_idle(worker, now)
        self._lease_ended(lane)
        self.schedule()

    def client_left(self, client: int) -> None:
        """A client is gone: its demands end, and the workers that ran for it are killed, as nobody wants their work."""
        for key in [k for k in self.lanes if k[0] == client]:
            lane = self.lanes.pop(key)
            self._waiting.pop(key, None)
            for number in lane.granted:
                self.out.append(("kill", number, NOT_NEEDED))
        self.groups.creator_left(client)
        self._groups_say()
        self.schedule()

    def blocked(self, number: int) -> None:
        """A worker waits for others: its CPU is free meanwhile."""
        worker = self.workers.get(number)
        if worker is not None and worker.holding is not None and not worker.blocked:
            assert worker.resources is not None
            worker.blocked = True
            worker.resources.lend_cpu(worker.holding)
            self.schedule()

    def unblocked(self, number: int) -> None:
        """It goes on."""
        worker = self.workers.get(number)
        if worker is not None and worker.holding is not None and worker.blocked:
            assert worker.resources is not None
            worker.blocked = False
            worker.resources.take_cpu_back(worker.holding)
            self.schedule()  # whoever starves may now ask for this lease too

    # -- actors ----------------------------------------

    def want_actor(
        self,
        actor: int,
        resources: dict[str, int],
        env: str,
        where: Where = ANYWHERE,
        home: str = "",
        retriable: bool = False,
    ) -> bool:
        """An actor waits for a process of its own. False if there is no place that could ever hold it."""
        key = (-1, actor)
        lane = Lane(key, resources, env, where, home, retriable)
        lane.demand = 1
        self.lanes[key] = lane
        self._waiting[key] = lane
        possible = self._possible(lane)
        self.schedule()
        return possible

    def drop_actor(self, actor: int) -> None:
        """The actor that waits is not wanted any more."""
        self.lanes.pop((-1, actor), None)
        self._waiting.pop((-1, actor), None)

    def hold_only(self, number: int, resources: dict[str, int]) -> None:
        """The actor in that worker has been constructed: from now on it holds just `resources`."""
        worker = self.workers.get(number)
        if worker is not None and worker.holding is not None and worker.holding.amounts != resources:
            assert worker.resources is not None
            if worker.blocked:
                worker.resources.take_cpu_back(worker.holding)
                worker.blocked = False
            worker.resources.resize(worker.holding, resources)
            self.schedule()

    # -- machines and groups ----------------------------------------

    @property
    def resources(self) -> Resources:
        """Those of the machine that the session started on."""
        return self.machines.first.resources

    def machine_joined(self, machine: Machine) -> None:
        """A machine has been added."""
        self.machines.add(machine)
        self.schedule()

    def machine_left(self, id: str, cause: str) -> list[int]:
        """A machine is gone. Returns the workers that were on it, which are gone too."""
        machine = self.machines.get(id)
        if machine is None:
            return []
        machine.alive = False
        machine.death = cause
        lost = self.pool.machine_left(id)
        self.groups.machine_left(machine)
        self._groups_say()
        self.schedule()
        return lost

    def create_group(self, group: Group) -> bool:
        """A placement group is wanted. False if its name is taken."""
        made = self.groups.create(group)
        self._groups_say()
        if group.id in self.groups.waiting:
            self.schedule()
        return made

    def remove_group(self, id: str) -> None:
        """A placement group is not wanted any more."""
        self.groups.remove(id)
        self._groups_say()
        self.schedule()

    def _groups_say(self) -> None:
        """Do at once what the groups have decided about workers; the rest is for the process around."""
        for what, subject in self.groups.out:
            if what == "removed":
                for worker in list(self.workers.values()):
                    if isinstance(worker.place, Bundle) and worker.place.group is subject:
                        lane = worker.lane
                        worker.free()
                        worker.lane = lane  # it is told of the loss
                        worker.state = RETIRED
                        self.out.append(("kill", worker.number, GROUP_REMOVED))
                self.groups.freed(subject)
            self.out.append((f"group_{what}", subject))
        self.groups.out.clear()

    # -- the decision ----------------------------------------

    def _lease_ended(self, lane: Lane) -> None:
        self._update_waiting(lane)
        if lane.closed and not lane.granted:
            del self.lanes[lane.key]

    def _update_waiting(self, lane: Lane) -> None:
        if lane.demand > len(lane.granted):
            if lane.key not in self._waiting:
                self._waiting[lane.key] = lane
        else:
            self._waiting.pop(lane.key, None)

    def _possible(self, lane: Lane) -> bool:
        if lane.where[0] == GROUP:
            return True  # that is for its group to tell
        return bool(self.choice.places(lane.where, lane.resources, lane.home))

    def _room(self, lane: Lane, promised: dict[Place, dict[str, int]] | None = None) -> Place | None:
        """The best place that has room now, beside what is promised."""
        demand = lane.resources
        for place in self.choice.places(lane.where, demand, lane.home, promised):
            if not place.resources.fits(demand):
                continue
            owed = promised.get(place) if promised else None
            free = place.resources.free
            if owed is None or all(free.get(n, 0) - owed.get(n, 0) >= a for n, a in demand.items()):
                return place
        return None

    def _refuse_hopeless(self) -> None:
        for lane in list(self._waiting.values()):
            where = lane.where
            if where[0] == NODE:
                why, text = UNSCHEDULABLE, self.choice.impossible(where, lane.resources)
            elif where[0] == GROUP:
                group = self.groups.by_id.get(where[2])
                gone = group is None or group.state == REMOVED
                why, text = GROUP_REMOVED, f"placement group {where[2]} has been removed" if gone else ""
            else:
                continue
            if text:
                del self._waiting[lane.key]
                lane.demand = len(lane.granted)
                if lane.key[0] < 0:
                    del self.lanes[lane.key]
                self.out.append(("refuse", *lane.key, why, text))

    def schedule(self) -> None:
        """Grant what can be granted, start the workers that are missing, and ask for leases back."""
        groups_wait = False
        if self.groups.waiting:
            self.groups.settle()
            self._groups_say()
            groups_wait = any(not group.infeasible for group in self.groups.waiting.values())
        if not self._waiting:
            if groups_wait:
                self._reclaim()
            return
        self._refuse_hopeless()
        progress = True
        while progress:
            progress = False
            for key in list(self._waiting):
                lane = self._waiting.get(key)
                place = None if lane is None else self._room(lane)
                if lane is None or place is None or place.machine is None:
                    continue
                idle = self.pool.take_idle(place.machine.id, lane.env)
                if idle is not None:
                    self._assign(lane, place, idle)
                    progress = True
        if self._start_missing() or groups_wait:
            self._reclaim()

    def _start_missing(self) -> bool:
        """Start workers for what has room and no worker. True if something has no room that could have it later."""
        to_start: dict[tuple[str, str], int] = {}
        promised: dict[Place, dict[str, int]] = {}
        starved = False
        for lane in self._waiting.values():
            missing = lane.demand - len(lane.granted)
            while missing > 0:
                # What is promised to workers that start now is not free for the next in the queue.
                place = self._room(lane, promised)
                if place is None or place.machine is None:
                    starved = starved or self._possible_now(lane)
                    break
                owed = promised.setdefault(place, {})
                for name, amount in lane.resources.items():
                    owed[name] = owed.get(name, 0) + amount
                kind = (place.machine.id, lane.env)
                to_start[kind] = to_start.get(kind, 0) + 1
                missing -= 1
                if not lane.resources and to_start[kind] >= 16:
                    break
        self.pool.start_missing(to_start)
        return starved

    def _possible_now(self, lane: Lane) -> bool:
        return bool(self.choice.places(lane.where, lane.resources, lane.home))

    def _assign(self, lane: Lane, place: Place, worker: Worker) -> None:
        number = worker.number
        worker.take(place, lane.resources)
        worker.retriable = lane.retriable
        self._counter += 1
        worker.since = self._counter
        self.choice.taken(lane.where, place)
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
        """Ask for leases back: as many as could be used by others, or all while a group waits for room."""
        waiting = [lane for lane in self._waiting.values() if self._possible_now(lane)]
        needed = sum(lane.demand - len(lane.granted) for lane in waiting)
        waiting_keys: set[Key | None] = {lane.key for lane in waiting}
        if any(not group.infeasible for group in self.groups.waiting.values()):
            needed = len(self.workers)
            waiting_keys.add(None)
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
