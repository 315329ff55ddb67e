"""The node's process, step by step: what happens between an event and the instructions it gave rise to."""

from __future__ import annotations

import marshal
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from skate.engine.local import protocol, wire
from skate.engine.local.node.lifecycle import DEAD
from skate.engine.local.node.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STARTED = -(1 << 31)
_DRIVER = 1
_ABOUT = {
    "name": "",
    "namespace": "space",
    "env": "",
    "where": ("", ()),
    "detached": False,
    "max_restarts": 0,
    "creation_demand": {"CPU": 1.0},
    "running_demand": {},
    "nested": (),
    "class_name": "Counter",
    "host": (),
    "slots": (),
    "meta": b"",
}


class Node:
    """A server whose driver, zygote and workers are played by the test."""

    def __init__(self, folder: Path, cpus: float = 1, prestart: int = 1) -> None:
        driver, self.driver_end = socket.socketpair()
        zygote, self.zygote_end = socket.socketpair()
        self.arena_fd = os.memfd_create("skate-test")
        config = {
            "token": b"t" * 16,
            "resources": {"CPU": cpus},
            "machine_id": "m0",
            "labels": {},
            "memory_limits": (1.0, 0.0),
            "keep_idle": 1,
            "first_number": _DRIVER,
            "store_bytes": 1 << 20,
            "base_env": {},
            "node_path": str(folder / "node"),
            "session_dir": str(folder),
            "spill_dir": str(folder / "spill"),
            "namespace": "space",
            "prestart": prestart,
            "log_to_driver": False,
            "system": {},
            "driver_pid": os.getpid(),
            "argv": ["test.py"],
            "standing": False,
            "variables": {},
        }
        self.server = Server(config, driver, zygote, self.arena_fd)
        self.driver = wire.Conn(self.driver_end)
        self.workers: dict[int, wire.Conn] = {}

    def forked(self) -> list[int]:
        """Answer every request to fork, and return the numbers of the workers."""
        self.server.settle()
        numbers = []
        self.zygote_end.setblocking(False)
        while True:
            try:
                head, fds, _flags, _address = socket.recv_fds(self.zygote_end, 4, 2)
            except BlockingIOError:
                break
            number, _env, _machine = marshal.loads(self.zygote_end.recv(int.from_bytes(head, "little")))
            for fd in fds:
                os.close(fd)
            numbers.append(number)
            self.report(number, _STARTED)
        self.server.workers.read_zygote()
        return numbers

    def report(self, number: int, status: int) -> None:
        """What the zygote says of a worker."""
        pid = 1 << 30  # no process has such a number
        message = (
            number.to_bytes(8, "little")
            + pid.to_bytes(4, "little")
            + status.to_bytes(4, "little", signed=True)
        )
        self.zygote_end.sendall(message)

    def connect(self, number: int) -> None:
        """Have a worker connect and say that it is ready."""
        sock = wire.connect(self.server.config["node_path"], b"t" * 16, str(number).encode())
        self.workers[number] = wire.Conn(sock)
        self.server.connections.accept()
        for greeting in list(self.server.connections.greetings.values()):
            self.server.connections.greet(greeting)
        self.say(self.workers[number], (protocol.READY, f"/nowhere/{number}", 1 << 30))
        self.hear_worker(number)

    def hear_worker(self, number: int) -> None:
        """Have the server read what a worker has said."""
        process = self.server.processes[number]
        assert process.conn is not None
        self.server.connections.read(process, process.conn)

    def say(self, conn: wire.Conn, *messages: tuple[Any, ...]) -> None:
        """Send messages in one frame."""
        for message in messages:
            conn.send(message)
        assert conn.flush()

    def drive(self, *messages: tuple[Any, ...]) -> None:
        """Have the server read a frame of the driver's."""
        self.say(self.driver, *messages)
        process = self.server.processes[_DRIVER]
        assert process.conn is not None
        self.server.connections.read(process, process.conn)

    def told(self) -> list[tuple[Any, ...]]:
        """What the driver has been told."""
        return self.driver.receive() or []

    def close(self) -> None:
        self.server.store.close()
        for process in self.server.processes.values():
            if process.conn is not None:
                process.conn.close()
            for fd in process.pipes:
                os.close(fd)
        for conn in (self.driver, *self.workers.values()):
            conn.close()
        for greeting in self.server.connections.greetings.values():
            greeting.sock.close()
        self.zygote_end.close()
        self.server.workers.zygote.close()
        self.server.connections.listener.close()
        self.server.poller.close()
        os.close(self.arena_fd)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.close()


def _demand(count: int) -> tuple[Any, ...]:
    return (protocol.DEMAND, 0, count, ("task", {"CPU": 1.0}, "", ("", ()), True))


def _create(key: int, **about: Any) -> tuple[tuple[Any, ...], ...]:
    return (protocol.CREATE_ACTOR, 1, key, {**_ABOUT, **about}), (protocol.START_ACTOR, key, (), ())


def test_a_lease_is_granted_on_a_worker_that_is_ready(node: Node) -> None:
    (number,) = node.forked()
    node.connect(number)
    node.drive(_demand(1))
    node.server.settle()
    grants = [message for message in node.told() if message[0] == protocol.GRANT]
    assert [(g[1], g[2], g[3]) for g in grants] == [(0, number, f"/nowhere/{number}")]


def test_a_worker_that_dies_between_the_decision_and_the_grant(node: Node) -> None:
    (number,) = node.forked()
    node.connect(number)
    node.server.settle()
    node.drive(_demand(1))
    node.workers[number].close()
    node.report(number, -9)
    node.server.workers.read_zygote()
    node.server.settle()
    node.drive(_demand(1))  # the driver asks again when it hears of the loss
    node.server.settle()
    (successor,) = node.forked()
    node.connect(successor)
    node.server.settle()
    grants = [message for message in node.told() if message[0] == protocol.GRANT]
    assert grants[-1][2] == successor


def test_a_worker_that_dies_between_the_decision_and_the_place_of_an_actor(node: Node) -> None:
    (number,) = node.forked()
    node.connect(number)
    node.drive(*_create(256, max_restarts=1))
    node.server.settle()  # HOST has been sent
    assert node.server.table.actors[256].worker == number
    node.drive(*_create(512, max_restarts=1))
    node.server.settle()
    (second,) = node.forked() or (None,)
    assert second is None  # the only CPU is taken
    node.workers[number].close()
    node.report(number, -9)
    node.server.workers.read_zygote()
    node.server.settle()
    (second,) = node.forked()
    node.connect(second)  # decides to place an actor there …
    node.workers[second].close()
    node.report(second, -9)
    node.server.workers.read_zygote()  # … and it dies before the node has said so
    node.server.settle()
    assert not node.server.stopping
    assert len(node.forked()) == 1  # one more is on its way for who waits


def test_an_actor_that_is_killed_in_the_same_breath_as_it_was_made(node: Node) -> None:
    node.drive(*_create(256), (protocol.KILL_ACTOR, 256, True))
    node.server.settle()
    assert node.server.table.actors[256].state == DEAD
    assert node.server.scheduler.lanes == {}


def test_an_actor_that_is_killed_when_its_place_had_just_been_found(node: Node) -> None:
    (number,) = node.forked()
    node.drive(*_create(256))
    node.server.settle()
    node.connect(number)  # places the actor
    node.drive((protocol.KILL_ACTOR, 256, True))
    node.server.settle()
    assert node.server.table.actors[256].state == DEAD
    assert not node.server.stopping
    node.workers[number].close()
    node.report(number, -9)
    node.server.workers.read_zygote()
    node.server.settle()
    assert node.server.scheduler.resources.free == node.server.scheduler.resources.total


def test_a_name_is_free_again_after_a_death_in_the_same_breath(node: Node) -> None:
    node.drive(*_create(256, name="n"), (protocol.KILL_ACTOR, 256, True), *_create(512, name="n"))
    node.server.settle()
    assert node.server.table.find("n", "space") is node.server.table.actors[512]


@pytest.mark.parametrize(
    "message",
    [
        (10**6,),
        ("DEMAND",),
        (protocol.DEMAND,),
        (protocol.DEMAND, 0, "many", None),
        (protocol.RELEASE, []),
        (protocol.PUBLISH, 1),
        (protocol.COUNT, 7),
        (protocol.COUNT, [(1, "one")]),
        (protocol.WANT, "key"),
        (protocol.ALLOC, 1, 2, "big"),
        (protocol.ALLOC, 1, 2, -5),
        (protocol.PIN, 1, None),
        (protocol.CREATE_ACTOR, 1, 2, {}),
        (protocol.CREATE_ACTOR, 1, 2, {**_ABOUT, "env": "not json"}),
        (protocol.INFO, 1, "nothing"),
        (protocol.KV, 1, "steal", b"", b"", b"", False),
    ],
)
def test_a_message_that_makes_no_sense_cuts_off_who_sent_it_and_nobody_else(
    node: Node, message: tuple[Any, ...]
) -> None:
    (number,) = node.forked()
    node.connect(number)
    node.say(node.workers[number], message)
    node.hear_worker(number)
    node.server.settle()
    assert not node.server.stopping
    node.drive((protocol.SYNC, 77))
    node.server.settle()
    assert (protocol.REPLY, 77, None) in node.told()
