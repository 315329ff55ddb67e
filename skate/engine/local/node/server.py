"""The node's process: one loop that reads events from sockets, asks the state machines, and has their instructions carried out.

server.py        the loop
messages.py      what is done about each message
connections.py   sockets: who may connect, reading, writing, ends
workers.py       the workers' processes, by way of the zygote
environments.py  runtime environments, and having them built
leases.py        carries out the scheduler's decisions         scheduler.py, engine/placement/  pure
groups.py        placement groups, for those who ask           engine/placement/groups.py   pure
clusters.py      simulated machines: adding, removing, telling of them
actors.py        carries out the actor table's                 lifecycle.py                 pure
store.py         carries out the directory's                   directory.py, allocator.py   pure
spill.py         moving objects to disk
memory.py        ending a worker before memory runs out                                     pure
printing.py      what workers print                            output.py                    pure
waiting.py       waits that last, and deadlocks                deadlock.py                  pure
inquiry.py       what users ask about the session              reports.py, history.py       pure
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from skate.engine.local import poller
from skate.engine.local.node.actors import Actors
from skate.engine.local.node.clusters import Clusters
from skate.engine.local.node.connections import Connections
from skate.engine.local.node.directory import Directory
from skate.engine.local.node.environments import Environments
from skate.engine.local.node.groups import Groups
from skate.engine.local.node.inquiry import Inquiry
from skate.engine.local.node.leases import Leases
from skate.engine.local.node.lifecycle import ActorTable
from skate.engine.local.node.memory import Monitor, machine_memory, process_memory
from skate.engine.local.node.messages import HANDLERS
from skate.engine.local.node.printing import Printing
from skate.engine.local.node.process import Process
from skate.engine.local.node.scheduler import OUT_OF_MEMORY, Scheduler
from skate.engine.local.node.store import Store
from skate.engine.local.node.waiting import Waiting
from skate.engine.local.node.workers import Workers
from skate.engine.placement.machines import Machine

if TYPE_CHECKING:
    import socket


class Server:
    """The state machines, the parts that do their input and output, and the loop that drives them."""

    handlers = HANDLERS

    def __init__(
        self, config: dict[str, Any], driver: socket.socket | None, zygote: socket.socket, arena_fd: int
    ) -> None:
        self.config = config
        self.token: bytes = config["token"]
        self.processes: dict[int, Process] = {}
        self.kv: dict[bytes, dict[bytes, bytes]] = {}
        self.stopping = False
        first = Machine(0, config["machine_id"], config["resources"], config["labels"])
        self.scheduler = Scheduler(first, config["keep_idle"])
        self.table = ActorTable()
        self.directory = Directory()
        self.poller = poller.make_poller()
        self.connections = Connections(self, config["node_path"])
        self.workers = Workers(self, zygote, config["first_number"] + 1)
        self.environments = Environments(self, config["base_env"])
        self.printing = Printing(self)
        self.store = Store(self, arena_fd)
        self.actors = Actors(self)
        self.leases = Leases(self)
        self.groups = Groups(self)
        self.clusters = Clusters(self)
        self.memory = Monitor(machine_memory, *config["memory_limits"])
        self.inquiry = Inquiry(self)
        self.waiting = Waiting(self)
        if driver is not None:
            process = Process(config["first_number"], True, first.id)
            process.job = process.number
            process.namespace = config["namespace"]
            process.pid = config["driver_pid"]
            process.command = " ".join(["python", *config["argv"]])
            self.connections.attach(process, driver)
        self.scheduler.prestart(config["prestart"])
        self.carry_out()

    def drivers(self) -> list[Process]:
        """The users' processes."""
        return [process for process in self.processes.values() if process.is_driver]

    def run(self) -> None:
        """Serve until the last driver is gone."""
        next_tick = time.monotonic() + 1
        self.settle()
        while not self.stopping:
            late = bool(self.store.late_pins)
            due = min(next_tick, self.memory.due)
            events = self.poller.poll(0.0 if late else max(0.0, due - time.monotonic()))
            for fd, event in events:
                self._on_event(fd, event)
            if self.store.late_pins:
                self.store.retry_pins(last=not events)
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + 1
                self.scheduler.tick(now)
                self.connections.tick(now)
                self.environments.tick(now)
                self.inquiry.reports.tick(now)
                self.waiting.tick(now)
            if now >= self.memory.due:
                self._look_at_memory(now)
            self.settle()
        self._end()

    def _look_at_memory(self, now: float) -> None:
        victim = self.memory.look(now, self.scheduler.workers)
        if victim is not None:
            number, why = victim
            process = self.processes[number]
            size = process_memory(process.pid) / 1e9
            process.why = OUT_OF_MEMORY
            process.ended = (
                f"{why}; its process used {size:.2f} GB. Run fewer at once (give them more num_cpus), let them use less, or move the "
                "limit with _system_config={'memory_usage_threshold': …}"
            )
            self.workers.kill(process)

    def _on_event(self, fd: int, event: int) -> None:
        connections = self.connections
        process = connections.by_fd.get(fd)
        if process is not None:
            conn = process.conn
            assert conn is not None
            if event & poller.WRITE:
                connections.to_flush.add(process)
            if event & poller.READ:
                connections.read(process, conn)
        elif fd in self.printing.pipes:
            self.printing.read(fd)
        elif fd == self.workers.zygote.fileno():
            self.workers.read_zygote()
        elif fd == connections.listener.fileno():
            connections.accept()
        elif fd == self.store.wake_fd:
            self.store.spills_done()
        elif fd in self.environments.builds:
            self.environments.read(fd)
        elif fd in connections.greetings:
            connections.greet(connections.greetings[fd])

    def settle(self) -> None:
        """Carry out what the state machines have decided, then write."""
        self.carry_out()
        self.connections.flush_all()

    def carry_out(self) -> None:
        """Carry out instructions until there are none left."""
        while True:
            if self.scheduler.out:
                instructions, self.scheduler.out = self.scheduler.out, []
                for instruction in instructions:
                    self.leases.carry_out(*instruction)
            elif self.table.out:
                instructions, self.table.out = self.table.out, []
                for instruction in instructions:
                    self.actors.carry_out(*instruction)
            elif self.directory.out:
                instructions, self.directory.out = self.directory.out, []
                for instruction in instructions:
                    self.store.carry_out(*instruction)
            elif self.inquiry.reports.out:
                instructions, self.inquiry.reports.out = self.inquiry.reports.out, []
                for instruction in instructions:
                    self.inquiry.carry_out(*instruction)
            else:
                return

    def _end(self) -> None:
        """Nobody is left: end the workers, pass on what they printed, and leave nothing behind."""
        workers = [process for process in self.processes.values() if not process.is_driver]
        for process in workers:
            self.workers.kill(process)
        for process in workers:
            self.printing.drain(process)
        self.environments.close()
        self.store.close()
        self.connections.end()
        shutil.rmtree(self.config["spill_dir"], ignore_errors=True)
        shutil.rmtree(self.config["session_dir"], ignore_errors=True)
