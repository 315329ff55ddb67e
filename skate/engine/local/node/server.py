"""The node's process: one loop that reads events from sockets, asks the state machines, and carries out their instructions."""

from __future__ import annotations

import errno
import json
import marshal
import os
import shutil
import signal
import socket
import time
from collections import deque
from typing import Any

from skate.engine.local import poller, protocol, wire
from skate.engine.local.node import directory as objects
from skate.engine.local.node import lifecycle
from skate.engine.local.node.allocator import Allocator
from skate.engine.local.node.directory import Directory
from skate.engine.local.node.lifecycle import Actor, ActorTable
from skate.engine.local.node.output import Lines
from skate.engine.local.node.resources import scale, unscale
from skate.engine.local.node.scheduler import Scheduler
from skate.engine.local.node.spill import Spiller

_LOG_BACKLOG = 4 << 20
"""Bytes of output that may wait for a driver before workers' pipes are left full."""


class Process:
    """A driver or a worker."""

    __slots__ = (
        "conn",
        "ended",
        "is_driver",
        "label",
        "namespace",
        "number",
        "path",
        "pid",
        "pipes",
        "status",
    )

    def __init__(self, number: int, is_driver: bool) -> None:
        self.number = number
        self.is_driver = is_driver
        self.pid = 0
        self.conn: wire.Conn | None = None
        self.path = ""
        self.label = ""
        self.namespace = ""
        self.status: int | None = None
        self.ended = ""
        self.pipes: dict[int, tuple[str, Lines]] = {}


class Server:
    """Everything the node's process does."""

    def __init__(
        self, config: dict[str, Any], driver: socket.socket, zygote: socket.socket, arena_fd: int
    ) -> None:
        self.config = config
        self.token: bytes = config["token"]
        self.scheduler = Scheduler(config["resources"], config["keep_idle"])
        self.table = ActorTable()
        self.directory = Directory()
        self.allocator = Allocator(config["store_bytes"])
        self.poller = poller.make_poller()
        self.processes: dict[int, Process] = {}
        self.by_fd: dict[int, Process] = {}
        self.greetings: dict[int, wire.Greeting] = {}
        self.pipes: dict[int, Process] = {}
        self.stalled_pipes: set[int] = set()
        self.kv: dict[bytes, dict[bytes, bytes]] = {}
        self.pending_watches: dict[int, set[int]] = {}
        self.held_for_actor: dict[int, tuple[int, ...]] = {}
        self.late_pins: list[tuple[int, int, int]] = []
        self.waiting_allocs: deque[tuple[int, int, int, int]] = deque()
        self.spilling: dict[int, tuple[int, int]] = {}
        self.orphan_spills: dict[int, int] = {}
        self.to_flush: set[Process] = set()
        self.infeasible_warned: set[str] = set()
        self.envs: dict[str, dict[str, str]] = {"": {}}
        self.next_number = config["first_number"] + 1
        self.next_lease = 1
        self.stopping = False
        self.zygote = zygote
        zygote.setblocking(False)
        self._zygote_in = bytearray()
        self.listener = wire.listen(config["node_path"])
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self.spiller = Spiller(arena_fd, config["spill_dir"], lambda: os.write(self._wake_write, b"."))
        for fd in (zygote.fileno(), self.listener.fileno(), self._wake_read):
            self.poller.add(fd)
        first = Process(config["first_number"], is_driver=True)
        first.namespace = config["namespace"]
        self._attach(first, wire.Conn(driver, first))
        self.scheduler.prestart(config["prestart"])
        self._carry_out()

    # -- the loop ----------------------------------------

    def run(self) -> None:
        """Serve until the last driver is gone."""
        next_tick = time.monotonic() + 1
        self._settle()
        while not self.stopping:
            events = self.poller.poll(0.0 if self.late_pins else max(0.0, next_tick - time.monotonic()))
            for fd, event in events:
                self._on_event(fd, event)
            if self.late_pins:
                self._retry_pins(last=not events)
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + 1
                self._tick(now)
            self._settle()
        self._end()

    def _on_event(self, fd: int, event: int) -> None:
        process = self.by_fd.get(fd)
        if process is not None:
            conn = process.conn
            assert conn is not None
            if event & poller.WRITE:
                self.to_flush.add(process)
            if event & poller.READ:
                self._read(process, conn)
        elif fd in self.pipes:
            self._read_pipe(fd)
        elif fd == self.zygote.fileno():
            self._read_zygote()
        elif fd == self.listener.fileno():
            self._accept()
        elif fd == self._wake_read:
            os.read(fd, 4096)
            self._spills_done()
        elif fd in self.greetings:
            self._greet(self.greetings[fd])

    def _tick(self, now: float) -> None:
        self.scheduler.tick(now)
        for greeting in list(self.greetings.values()):
            if now > greeting.deadline:
                self._refuse(greeting)

    def _settle(self) -> None:
        """Carry out what the state machines have decided, then write."""
        self._carry_out()
        while self.to_flush:
            self._flush(self.to_flush.pop())

    def _carry_out(self) -> None:
        """Carry out instructions until there are none left."""
        while True:
            if self.scheduler.out:
                instructions, self.scheduler.out = self.scheduler.out, []
                for instruction in instructions:
                    self._scheduler_says(*instruction)
            elif self.table.out:
                instructions, self.table.out = self.table.out, []
                for instruction in instructions:
                    self._table_says(*instruction)
            elif self.directory.out:
                instructions, self.directory.out = self.directory.out, []
                for instruction in instructions:
                    self._directory_says(*instruction)
            else:
                return

    # -- connections ----------------------------------------

    def _attach(self, process: Process, conn: wire.Conn) -> None:
        process.conn = conn
        self.processes[process.number] = process
        self.by_fd[conn.fd] = process
        self.directory.client_joined(process.number)
        self.poller.add(conn.fd)

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self.listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._warn_all(f"the node is out of file descriptors ({error}); raise `ulimit -n`.")
                return
            greeting = wire.Greeting(sock, time.monotonic() + 5)
            self.greetings[greeting.fd] = greeting
            self.poller.add(greeting.fd)

    def _refuse(self, greeting: wire.Greeting) -> None:
        del self.greetings[greeting.fd]
        self.poller.remove(greeting.fd)
        greeting.sock.close()

    def _greet(self, greeting: wire.Greeting) -> None:
        try:
            hello = greeting.receive(self.token)
            if hello is None:
                return
            number = int(hello.decode())
        except (wire.ProtocolError, ValueError):
            self._refuse(greeting)
            return
        process = self.processes.get(number)
        if process is None or process.conn is not None or process.is_driver:
            self._refuse(greeting)
            return
        del self.greetings[greeting.fd]
        self.poller.remove(greeting.fd)
        self._attach(process, wire.Conn(greeting.sock, process))

    def _read(self, process: Process, conn: wire.Conn) -> None:
        try:
            messages = conn.receive()
            if messages is None:
                self._left(process)
                return
            for message in messages:
                protocol.check(message, protocol.TO_NODE)
                _HANDLERS[message[0]](self, process, *message[1:])
                self._carry_out()  # at once: a later message may make an instruction out of date
        except (
            wire.ProtocolError,
            protocol.MalformedMessage,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            # A frame that makes no sense: whoever sent it is broken or hostile, and is cut off; the others go on.
            self._warn_all(
                f"process {process.number} (pid {process.pid}) sent a bad message and was cut off: {error!r}."
            )
            if not process.is_driver:
                self._kill(process)
            self._left(process)

    def _flush(self, process: Process) -> None:
        conn = process.conn
        if conn is None:
            return
        wanted = conn.wants_write
        if not conn.flush():
            return  # its end arrives as an event of its own
        if conn.wants_write != wanted:
            self.poller.change(conn.fd, conn.wants_write)
        if self.stalled_pipes and process.is_driver and conn.backlog() < _LOG_BACKLOG // 2:
            for fd in self.stalled_pipes:
                self.poller.add(fd)
            self.stalled_pipes.clear()

    def _send(self, number: int, message: tuple[Any, ...]) -> None:
        process = self.processes.get(number)
        if process is not None and process.conn is not None:
            process.conn.send(message)
            self.to_flush.add(process)

    def _left(self, process: Process) -> None:
        """A connection has ended."""
        conn = process.conn
        if conn is None:
            return
        process.conn = None
        del self.by_fd[conn.fd]
        self.poller.remove(conn.fd)
        conn.close()
        self.directory.client_left(process.number)
        self.scheduler.client_left(process.number)
        self.to_flush.discard(process)
        for key in self.table.client_left(process.number):
            self.table.owner_died(key)
        if process.is_driver:
            del self.processes[process.number]
            if not any(p.is_driver for p in self.processes.values()):
                self.stopping = True
        elif process.status is not None:
            self._buried(process)

    # -- workers ----------------------------------------

    def _fork(self, env: str) -> None:
        number = self.next_number
        self.next_number += 1
        process = Process(number, is_driver=False)
        self.processes[number] = process
        ends = []
        for stream in ("out", "err"):
            read, write = os.pipe()
            os.set_blocking(read, False)
            process.pipes[read] = (stream, Lines())
            self.pipes[read] = process
            self.poller.add(read)
            ends.append(write)
        self.scheduler.worker_started(number, env)
        body = marshal.dumps((number, self.envs[env]), 2)
        self.zygote.setblocking(True)
        socket.send_fds(self.zygote, [len(body).to_bytes(4, "little") + body], ends)
        self.zygote.setblocking(False)
        for write in ends:
            os.close(write)

    def _read_zygote(self) -> None:
        try:
            data = self.zygote.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.stopping = True
            return
        self._zygote_in += data
        while len(self._zygote_in) >= 16:
            number = int.from_bytes(self._zygote_in[:8], "little")
            pid = int.from_bytes(self._zygote_in[8:12], "little")
            status = int.from_bytes(self._zygote_in[12:16], "little", signed=True)
            del self._zygote_in[:16]
            process = self.processes.get(number)
            if process is None:
                continue
            process.pid = pid
            if status != -(1 << 31):
                process.status = status
                # All that it wrote before it ended is in the socket: read it before burying it.
                while process.conn is not None:
                    before = process.conn
                    self._read(process, before)
                    if process.conn is before and not _readable(before.sock):
                        self._left(process)
                if number in self.processes:
                    self._buried(process)

    def _buried(self, process: Process) -> None:
        """A worker's process has ended, and all that it said has been read."""
        del self.processes[process.number]
        for fd in list(process.pipes):
            self._drain_pipe(process, fd)
        cause = process.ended or _describe(process.status)
        lane = self.scheduler.worker_died(process.number)
        if lane is not None:
            self._send(lane[0], (protocol.LOST, lane[1], process.number, cause))
        self.table.worker_died(process.number, cause)

    def _kill(self, process: Process) -> None:
        if process.pid and process.status is None:
            for kill in (os.killpg, os.kill):
                try:
                    kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        elif not process.pid:
            process.ended = process.ended or "it was killed before it had started"
            process.label = "\0kill"

    # -- output ----------------------------------------

    def _read_pipe(self, fd: int) -> None:
        process = self.pipes[fd]
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        stream, lines = process.pipes[fd]
        pieces = lines.feed(data) if data else lines.close()
        if not data:
            self._close_pipe(process, fd)
        self._log(process, stream, pieces)

    def _drain_pipe(self, process: Process, fd: int) -> None:
        stream, lines = process.pipes[fd]
        while True:
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                break
            if not data:
                break
            self._log(process, stream, lines.feed(data))
        self._log(process, stream, lines.close())
        self._close_pipe(process, fd)

    def _close_pipe(self, process: Process, fd: int) -> None:
        del process.pipes[fd]
        del self.pipes[fd]
        if fd in self.stalled_pipes:
            self.stalled_pipes.discard(fd)
        else:
            self.poller.remove(fd)
        os.close(fd)

    def _log(self, process: Process, stream: str, pieces: list[tuple[str, bytes]]) -> None:
        if not self.config["log_to_driver"]:
            return
        for name, text in pieces:
            for driver in self._drivers():
                self._send(
                    driver.number,
                    (protocol.LOG, stream, name or process.label or "worker", process.pid, text),
                )
                self._flush(driver)
                if driver.conn is not None and driver.conn.backlog() > _LOG_BACKLOG:
                    for fd in self.pipes:
                        if fd not in self.stalled_pipes:
                            self.stalled_pipes.add(fd)
                            self.poller.remove(fd)

    def _drivers(self) -> list[Process]:
        return [p for p in self.processes.values() if p.is_driver]

    def _warn_all(self, text: str) -> None:
        for driver in self._drivers():
            self._send(driver.number, (protocol.WARN, text))

    # -- the scheduler's instructions ----------------------------------------

    def _scheduler_says(self, what: str, *rest: Any) -> None:
        if what == "start":
            self._fork(rest[0])
        elif what == "grant":
            client, lane, number = rest
            leased = self.scheduler.workers.get(number)
            if leased is None:
                return  # it has died since, which its lane is told
            gpus = sorted(leased.holding.gpus) if leased.holding else []
            lease, self.next_lease = self.next_lease, self.next_lease + 1
            if client not in self.processes or self.processes[client].conn is None:
                return
            self._send(client, (protocol.GRANT, lane, number, self.processes[number].path, gpus, lease))
        elif what == "place":
            self.table.placed(rest[0], rest[1])
        elif what == "reclaim":
            self._send(rest[0], (protocol.RECLAIM, rest[1]))
        elif what == "kill":
            process = self.processes.get(rest[0])
            if process is not None:
                process.ended = process.ended or "it was ended, as nothing needed it any more"
                self._kill(process)

    def _table_says(self, what: str, *rest: Any) -> None:
        if what == "want":
            actor = self.table.actors[rest[0]]
            env = actor.description["env"]
            if not self.scheduler.want_actor(actor.key, actor.resources, env):
                self._warn_infeasible(f"actor {actor.description['class_name']}", actor.resources)
        elif what == "unwant":
            self.scheduler.drop_actor(rest[0])
        elif what == "host":
            actor = self.table.actors[rest[0]]
            worker = self.scheduler.workers.get(rest[1])
            process = self.processes[rest[1]]
            if actor.state == lifecycle.DEAD or worker is None:
                return  # one of the two has ended since; the other is told of it
            process.label = actor.description["class_name"]
            gpus = sorted(worker.holding.gpus) if worker.holding else []
            facts = (unscale(actor.running_resources), gpus, actor.restarts, actor.name, actor.namespace)
            self._send(
                rest[1],
                (protocol.HOST, actor.key, actor.description["host"], actor.description["slots"], facts),
            )
        elif what == "hold":
            self.scheduler.hold_only(rest[0], rest[1])
        elif what == "notify":
            actor = self.table.actors[rest[0]]
            for client in actor.watchers:
                self._tell_actor(client, actor)
        elif what == "kill":
            doomed = self.processes.get(rest[0])
            if doomed is not None:
                self._kill(doomed)
        elif what == "end":
            self._send(rest[0], (protocol.EXIT,))
        elif what == "forget":
            self.directory.let_go(self.held_for_actor.pop(rest[0], ()))

    def _tell_actor(self, client: int, actor: Actor) -> None:
        path = ""
        if actor.state == lifecycle.ALIVE and actor.worker is not None:
            path = self.processes[actor.worker].path
        self._send(
            client,
            (
                protocol.ACTOR,
                actor.key,
                actor.state,
                path,
                actor.worker or 0,
                actor.cause,
                actor.error,
                actor.restarts,
            ),
        )

    def _directory_says(self, what: str, *rest: Any) -> None:
        if what == "object":
            client, key = rest
            entry = self.directory.entries.get(key)
            if entry is None:
                self._send(client, (protocol.OBJECT, key, objects.LOST, None))
            else:
                self._send(client, (protocol.OBJECT, key, entry.kind, entry.payload))
        elif what == "probe":
            self._send(rest[0], (protocol.PROBE, rest[1]))
        elif what == "free":
            self.allocator.free(rest[0])
            self._retry_allocs()
        elif what == "free_after_spill":
            self.orphan_spills[rest[0]] = rest[1]
        elif what == "unlink":
            try:
                os.unlink(rest[0])
            except FileNotFoundError:
                pass
        elif what == "gone":
            self.table.release(rest[0])

    def _warn_infeasible(self, who: str, demand: dict[str, int]) -> None:
        have = unscale(self.scheduler.resources.total)
        lacking = {n: a for n, a in unscale(demand).items() if have.get(n, 0) < a}
        text = (
            f"{who} needs {_amounts(unscale(demand))}, but this session has only "
            f"{_amounts({n: have.get(n, 0) for n in lacking})} in all: it waits until that much is added. "
            "Ask for less, or give init() more."
        )
        if text not in self.infeasible_warned:
            self.infeasible_warned.add(text)
            self._warn_all(text)

    # -- the store ----------------------------------------

    def _alloc(self, process: Process, request: int, key: int, size: int) -> None:
        self.waiting_allocs.append((process.number, request, key, size))
        self._retry_allocs()

    def _retry_allocs(self) -> None:
        while self.waiting_allocs:
            number, request, key, size = self.waiting_allocs[0]
            process = self.processes.get(number)
            if process is None or process.conn is None:
                self.waiting_allocs.popleft()
                continue
            if self.directory.exists(number, key):
                self.waiting_allocs.popleft()
                self._send(number, (protocol.REPLY, request, None))
                continue
            offset = self.allocator.allocate(size) if size <= self.allocator.capacity else None
            if offset is None:
                if size <= self.allocator.capacity and self._make_room(size):
                    return  # a spill is under way: its end tries again
                # Nothing can be moved away: the object is written to a file from the start.
                os.makedirs(self.config["spill_dir"], mode=0o700, exist_ok=True)
                path = self.spiller.path(key)
                self.waiting_allocs.popleft()
                self.directory.create(number, key, -1, size, path)
                self._send(number, (protocol.REPLY, request, path))
                continue
            self.waiting_allocs.popleft()
            self.directory.create(number, key, offset, size, "")
            self._send(number, (protocol.REPLY, request, offset))

    def _make_room(self, size: int) -> bool:
        if self.spilling:
            return True
        victims = self.directory.victims(size)
        for key, entry in victims:
            entry.spilling = True
            self.spilling[key] = (entry.offset, entry.size)
            self.spiller.start(key, entry.offset, entry.size)
        return bool(victims)

    def _spills_done(self) -> None:
        while self.spiller.results:
            key, path, error = self.spiller.results.popleft()
            self.spilling.pop(key, None)
            orphan = self.orphan_spills.pop(key, None)
            if orphan is not None:
                self.allocator.free(orphan)
            if error is not None:
                entry = self.directory.entries.get(key)
                if entry is not None:
                    entry.spilling = False
                self._fail_allocs(error)
            elif not self.directory.spilled(key, path):
                os.unlink(path)
        if not self.spilling:
            self._retry_allocs()

    def _fail_allocs(self, error: OSError) -> None:
        text = f"{error.strerror} while moving objects to {self.config['spill_dir']}"
        while self.waiting_allocs:
            number, request, _key, size = self.waiting_allocs.popleft()
            self._send(number, (protocol.REPLY, request, (text, size)))

    def _pin(self, process: Process, request: int, key: int) -> None:
        entry = self.directory.pin(process.number, key)
        if entry is None:
            # The word that it is complete may be unread in its maker's socket: look there before saying that it is lost.
            self.late_pins.append((process.number, request, key))
            return
        self._answer_pin(process.number, request, entry)

    def _retry_pins(self, last: bool) -> None:
        """Answer pins that came early; with `last` no socket holds anything unread, and what is not there is lost."""
        late, self.late_pins = self.late_pins, []
        for number, request, key in late:
            entry = self.directory.pin(number, key) if number in self.directory.clients else None
            if entry is None and not last:
                self.late_pins.append((number, request, key))
            else:
                self._answer_pin(number, request, entry)

    def _answer_pin(self, number: int, request: int, entry: objects.Entry | None) -> None:
        answer = None if entry is None else (entry.path or entry.offset, entry.size)
        self._send(number, (protocol.REPLY, request, answer))

    # -- messages ----------------------------------------

    def _ready(self, process: Process, path: str, pid: int) -> None:
        process.path = path
        process.pid = pid
        if process.label == "\0kill":
            self._kill(process)
            return
        self.scheduler.worker_ready(process.number, time.monotonic())

    def _demand(self, process: Process, lane: int, count: int, shape: tuple[Any, ...] | None) -> None:
        if shape is not None:
            name, demand, env = shape
            self._know_env(env)
            scaled = scale(demand)
            if not self.scheduler.open_lane(process.number, lane, scaled, env):
                self._warn_infeasible(f"task {name}", scaled)
        self.scheduler.set_demand(process.number, lane, count)

    def _know_env(self, env: str) -> None:
        if env not in self.envs:
            self.envs[env] = json.loads(env)["env_vars"]

    def _release(self, process: Process, worker: int) -> None:
        self.scheduler.release(process.number, worker, time.monotonic())

    def _create_actor(self, process: Process, request: int, key: int, about: dict[str, Any]) -> None:
        self._know_env(about["env"])
        actor = Actor(
            key,
            process.number,
            about,
            about["name"],
            about["namespace"],
            about["detached"],
            about["max_restarts"],
            scale(about["creation_demand"]),
            scale(about["running_demand"]),
        )
        holder = self.table.create(actor)
        if holder is not None:
            self._send(
                process.number,
                (protocol.REPLY, request, (holder, self.table.actors[holder].description["meta"])),
            )
            return
        self.directory.hold(about["nested"])
        self.held_for_actor[key] = about["nested"]
        actor.watchers |= self.pending_watches.pop(key, set())
        if about["name"]:
            self._send(process.number, (protocol.REPLY, request, None))

    def _start_actor(self, _process: Process, key: int, slots: Any, held: tuple[int, ...]) -> None:
        actor = self.table.actors.get(key)
        if actor is None or actor.description is None:
            return
        self.directory.hold(held)
        self.held_for_actor[key] += held
        actor.description["slots"] = slots
        self.table.start(key)

    def _watch_actor(self, process: Process, key: int) -> None:
        actor = self.table.actors.get(key)
        if actor is not None:
            actor.watchers.add(process.number)
            self._tell_actor(process.number, actor)
            return
        self.pending_watches.setdefault(key, set()).add(process.number)
        owner = key >> objects.OWNER_SHIFT
        if owner in self.processes and self.processes[owner].conn is not None:
            self._send(owner, (protocol.PROBE, key))
        else:
            self._no_such_actor(key)

    def _no_such_actor(self, key: int) -> None:
        for client in self.pending_watches.pop(key, ()):
            cause = "the process that created it has ended."
            self._send(client, (protocol.ACTOR, key, lifecycle.DEAD, "", 0, cause, None, 0))

    def _probed(self, _process: Process, key: int) -> None:
        self.directory.probed(key)
        self._no_such_actor(key)

    def _actor_ready(self, _process: Process, key: int, error: Any) -> None:
        self.table.constructed(key, error)

    def _actor_exit(self, process: Process, key: int, cause: str) -> None:
        process.ended = cause
        self.table.exiting(key, cause)

    def _find_actor(self, process: Process, request: int, name: str, namespace: str) -> None:
        actor = self.table.find(name, namespace)
        answer = None
        if actor is not None:
            answer = (actor.key, actor.description["meta"])
        self._send(process.number, (protocol.REPLY, request, answer))

    def _info(self, process: Process, request: int, what: str) -> None:
        resources = self.scheduler.resources
        answer: Any
        if what == "total":
            answer = unscale(resources.total)
        elif what == "available":
            answer = unscale({n: max(0, a) for n, a in resources.free.items() if a > 0})
        elif what == "actors":
            answer = self.table.named()
        elif what == "processes":
            answer = [(p.number, p.pid, p.is_driver, p.label) for p in self.processes.values()]
        elif what == "store":
            answer = (self.allocator.used, self.allocator.capacity, len(self.directory.entries))
        else:
            raise ValueError(f"unknown question {what!r}")
        self._send(process.number, (protocol.REPLY, request, answer))

    def _kill_worker(self, process: Process, number: int) -> None:
        worker = self.scheduler.workers.get(number)
        if worker is not None and worker.lane is not None and worker.lane[0] == process.number:
            self._kill(self.processes[number])

    def _kv(
        self,
        process: Process,
        request: int,
        action: str,
        key: bytes,
        value: bytes,
        namespace: bytes,
        overwrite: bool,
    ) -> None:
        space = self.kv.setdefault(namespace, {})
        answer: Any
        if action == "get":
            answer = space.get(key)
        elif action == "put":
            answer = key not in space
            if answer or overwrite:
                space[key] = value
        elif action == "del":
            answer = space.pop(key, None) is not None
        elif action == "keys":
            answer = [k for k in space if k.startswith(key)]
        else:
            raise ValueError(f"unknown action {action!r}")
        self._send(process.number, (protocol.REPLY, request, answer))

    def _stop(self, process: Process) -> None:
        if len(self._drivers()) <= 1:
            self.stopping = True
        else:
            self._left(process)

    # -- the end ----------------------------------------

    def _end(self) -> None:
        """Nobody is left: end the workers, pass on what they printed, and leave nothing behind."""
        for process in list(self.processes.values()):
            if not process.is_driver:
                self._kill(process)
        for process in list(self.processes.values()):
            for fd in list(process.pipes):
                self._drain_pipe(process, fd)
        self.spiller.stop()
        for driver in self._drivers():
            self._send(driver.number, (protocol.BYE,))
            if driver.conn is not None:
                driver.conn.sock.setblocking(True)
                driver.conn.sock.settimeout(1.0)
                driver.conn.flush()
        shutil.rmtree(self.config["spill_dir"], ignore_errors=True)
        shutil.rmtree(self.config["session_dir"], ignore_errors=True)


def _readable(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    except OSError:
        return False


def _describe(status: int | None) -> str:
    if status is None:
        return "its connection broke"
    if status < 0:
        name = signal.Signals(-status).name
        hint = ""
        if name == "SIGKILL":
            hint = "; somebody killed it, or the system ran out of memory"
        elif name == "SIGSEGV":
            hint = "; a native library crashed"
        return f"its process was ended by {name}{hint}"
    return f"its process exited with code {status}"


def _amounts(amounts: dict[str, float]) -> str:
    return "{" + ", ".join(f"{n}: {a:g}" for n, a in sorted(amounts.items())) + "}"


_HANDLERS: dict[int, Any] = {
    protocol.READY: Server._ready,
    protocol.DEMAND: Server._demand,
    protocol.RELEASE: Server._release,
    protocol.BLOCKED: lambda self, process: self.scheduler.blocked(process.number),
    protocol.UNBLOCKED: lambda self, process: self.scheduler.unblocked(process.number),
    protocol.PUBLISH: lambda self, process, *rest: self.directory.publish(process.number, *rest),
    protocol.RESOLVE: lambda self, process, *rest: self.directory.resolve(process.number, *rest),
    protocol.COUNT: lambda self, process, changes: self.directory.count(process.number, changes),
    protocol.COUNT_FOR: lambda self, process, client, changes: self.directory.count(client, changes),
    protocol.WANT: lambda self, process, key: self.directory.want(process.number, key),
    protocol.ALLOC: Server._alloc,
    protocol.SEAL: lambda self, process, key, nested: self.directory.seal(key, nested),
    protocol.PIN: Server._pin,
    protocol.UNPIN: lambda self, process, key: self.directory.unpin(process.number, key),
    protocol.CREATE_ACTOR: Server._create_actor,
    protocol.START_ACTOR: Server._start_actor,
    protocol.KILL_WORKER: Server._kill_worker,
    protocol.CANCEL_ELSEWHERE: lambda self, process, key, force, recursive: self._send(
        key >> objects.OWNER_SHIFT, (protocol.CANCEL_ELSEWHERE, key, force, recursive)
    ),
    protocol.RETIRE: lambda self, process: self.scheduler.retire(process.number),
    protocol.WATCH_ACTOR: Server._watch_actor,
    protocol.KILL_ACTOR: lambda self, process, key, no_restart: self.table.kill(key, no_restart),
    protocol.ACTOR_READY: Server._actor_ready,
    protocol.ACTOR_EXIT: Server._actor_exit,
    protocol.FIND_ACTOR: Server._find_actor,
    protocol.INFO: Server._info,
    protocol.KV: Server._kv,
    protocol.PROBED: Server._probed,
    protocol.STOP: Server._stop,
    protocol.SYNC: lambda self, process, request: self._send(process.number, (protocol.REPLY, request, None)),
}
