"""The worker pool: which workers there are, starting, idle or in use. Pure; a part of the scheduler.

Workers of one machine and one environment are alike: an idle one serves whatever wants to run there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.engine.placement.groups import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.placement.choice import Place
    from skate.engine.placement.resources import Holding, Resources

IDLE = "idle"
STARTING = "starting"
LEASED = "leased"
ACTOR = "actor"
RETIRED = "retired"

Key = tuple[int, int]
"""(client, lane), or (-1, actor) for an actor that waits for its place."""

NOT_NEEDED = ""
MACHINE_LEFT = "node"
"""Why a worker is killed."""


class Worker:
    """A process of the pool."""

    __slots__ = (
        "blocked",
        "env",
        "holding",
        "idle_since",
        "lane",
        "machine",
        "number",
        "place",
        "reclaiming",
        "resources",
        "retriable",
        "since",
        "state",
    )

    def __init__(self, number: int, env: str, machine: str) -> None:
        self.number = number
        self.env = env
        self.machine = machine
        self.state = STARTING
        self.place: Place | None = None
        self.resources: Resources | None = None
        """What it holds from: those of the place, as they were when it was placed."""
        self.holding: Holding | None = None
        self.lane: Key | None = None
        self.blocked = False
        self.reclaiming = False
        self.retriable = False
        self.since = 0
        """Counts up with every lease and actor: the larger, the newer."""
        self.idle_since = 0.0

    def take(self, place: Place, demand: dict[str, int]) -> None:
        """Hold resources of a place."""
        self.place = place
        self.resources = place.resources
        self.holding = place.resources.acquire(demand)
        if isinstance(place, Bundle):
            place.users += 1

    def free(self) -> None:
        """Give back what it holds, and belong to nobody."""
        if self.holding is not None:
            assert self.resources is not None
            if self.blocked:
                self.resources.take_cpu_back(self.holding)
            self.resources.release(self.holding)
            place = self.place
            if isinstance(place, Bundle) and place.resources is self.resources:
                place.users -= 1
        self.place = self.holding = self.resources = None
        self.lane = None
        self.blocked = False
        self.reclaiming = False


class Pool:
    """All workers.

    Args:
        say: Takes an instruction: `("start", env, machine)` or `("kill", worker, why)`.
        keep_idle: Idle workers that stay however long they have been idle.
        idle_seconds: For how long the others stay.
    """

    def __init__(self, say: Callable[[tuple[Any, ...]], None], keep_idle: int, idle_seconds: float) -> None:
        self.workers: dict[int, Worker] = {}
        self._say = say
        self._keep_idle = keep_idle
        self._idle_seconds = idle_seconds
        self._idle: dict[tuple[str, str], list[int]] = {}
        """By (machine, environment), as the next two."""
        self._asked: dict[tuple[str, str], int] = {}
        """Workers that are to be started and have not been forked yet."""
        self._starting: dict[tuple[str, str], int] = {}
        """Workers that have been forked and are not ready yet."""

    def start(self, env: str, machine: str) -> None:
        """Have a worker started."""
        self._asked[machine, env] = self._asked.get((machine, env), 0) + 1
        self._say(("start", env, machine))

    def start_missing(self, wanted: dict[tuple[str, str], int]) -> None:
        """Have as many started as are wanted, by (machine, environment), and are not on their way yet."""
        for (machine, env), count in wanted.items():
            kind = (machine, env)
            for _ in range(count - self._starting.get(kind, 0) - self._asked.get(kind, 0)):
                self.start(env, machine)

    def start_failed(self, env: str) -> None:
        """Those that were asked for with that environment will not come."""
        for kind in [kind for kind in self._asked if kind[1] == env]:
            del self._asked[kind]

    def started(self, number: int, env: str, machine: str) -> None:
        """A worker has been forked; it is not ready yet."""
        self.workers[number] = Worker(number, env, machine)
        kind = (machine, env)
        self._starting[kind] = self._starting.get(kind, 0) + 1
        self._asked[kind] = max(0, self._asked.get(kind, 0) - 1)

    def ready(self, number: int, now: float) -> bool:
        """A worker listens. False if nobody waits for that."""
        worker = self.workers.get(number)
        if worker is None or worker.state != STARTING:
            return False
        self._starting[worker.machine, worker.env] -= 1
        self.make_idle(worker, now)
        return True

    def died(self, number: int) -> Worker | None:
        """A worker is gone; what it held is for the caller to free."""
        worker = self.workers.pop(number, None)
        if worker is not None and worker.state == STARTING:
            self._starting[worker.machine, worker.env] -= 1
        elif worker is not None and worker.state == IDLE:
            self._idle[worker.machine, worker.env].remove(number)
        return worker

    def make_idle(self, worker: Worker, now: float) -> None:
        """A worker has nothing to do."""
        worker.state = IDLE
        worker.idle_since = now
        self._idle.setdefault((worker.machine, worker.env), []).append(worker.number)

    def take_idle(self, machine: str, env: str) -> Worker | None:
        """An idle worker, which is not idle any more."""
        idle = self._idle.get((machine, env))
        return self.workers[idle.pop()] if idle else None

    def machine_left(self, machine: str) -> list[int]:
        """A machine is gone: its workers are killed. Returns them."""
        lost = [worker.number for worker in self.workers.values() if worker.machine == machine]
        for number in lost:
            self._say(("kill", number, MACHINE_LEFT))
        for kind in [kind for kind in self._idle if kind[0] == machine]:
            for number in self._idle.pop(kind):
                self.workers[number].state = RETIRED
        return lost

    def tick(self, now: float) -> None:
        """End workers that have been idle for long."""
        count = sum(len(numbers) for numbers in self._idle.values())
        for (_machine, env), numbers in self._idle.items():
            for number in list(numbers):
                spare = count > self._keep_idle or env != ""
                if spare and now - self.workers[number].idle_since > self._idle_seconds:
                    numbers.remove(number)
                    count -= 1
                    self.workers[number].state = RETIRED
                    self._say(("kill", number, NOT_NEEDED))
