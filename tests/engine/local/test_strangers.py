"""Strangers and broken peers at the doors of a running session."""

from __future__ import annotations

import marshal
import os
import random
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import skate
from skate.core import runtime
from skate.engine.local.wire import HELLO, MAGIC, MAX_FRAME


@skate.remote
def add(a: int, b: int) -> int:
    return a + b


@skate.remote(num_cpus=0)
class Host:
    def pid(self) -> int:
        return os.getpid()

    def doors(self) -> list[str]:
        """The sockets at which this worker listens."""
        engine: Any = runtime.current()
        folder = os.path.dirname(engine.address)
        return [os.path.join(folder, name) for name in os.listdir(folder)]


@pytest.fixture
def engine() -> Iterator[Any]:
    skate.init(num_cpus=1, log_to_driver=False)
    assert skate.get(add.remote(1, 1), timeout=10) == 2  # from now on the node listens
    yield runtime.current()
    assert skate.get([add.remote(n, 1) for n in range(10)], timeout=10) == list(range(1, 11))


@pytest.fixture
def host(engine: Any) -> Any:
    """An actor that lives as long as the test, so that its door stays."""
    return Host.remote()


def _doors(host: Any) -> list[str]:
    doors: list[str] = skate.get(host.doors.remote(), timeout=10)
    return [path for path in doors if stat.S_ISSOCK(os.stat(path).st_mode)]


def _knock(path: str, data: bytes) -> bytes:
    """Send bytes, and return what comes back before the peer hangs up."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while more := sock.recv(65536):
                answer += more
        except (BrokenPipeError, ConnectionResetError):
            return b""
        return answer


def test_the_doors_are_the_users_own(engine: Any, host: Any) -> None:
    doors = _doors(host)
    assert len(doors) >= 2
    folder = Path(engine.session.config["session_dir"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in doors} == {0o600}
    assert {os.stat(path).st_uid for path in doors} == {os.getuid()}


def test_what_goes_to_disk_is_the_users_own(tmp_path: Path) -> None:
    mb = 1 << 20
    old = os.umask(0)
    try:
        skate.init(num_cpus=1, object_store_memory=80 * mb, object_spilling_directory=str(tmp_path))
        moved = [skate.put(bytes(20 * mb)) for _ in range(6)]
        too_large = skate.put(bytes(100 * mb))
    finally:
        os.umask(old)
    paths = list(tmp_path.rglob("*"))
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if path.is_file()]
    assert {path.stat().st_size > 80 * mb for path in files} == {True, False}, "one kind was not written"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len(skate.get(moved[0])) == 20 * mb and len(skate.get(too_large)) == 100 * mb


def test_a_stranger_gets_not_a_byte(engine: Any, host: Any) -> None:
    rng = random.Random(5)
    for door in _doors(host):
        for data in (
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            HELLO,
            HELLO + rng.randbytes(16) + b"\x011",
            HELLO + engine.token[:15],
            HELLO + engine.token[:15] + bytes([engine.token[15] ^ 1]) + b"\x011",
            struct.pack("<II", MAGIC, 4) + marshal.dumps([]),
            rng.randbytes(100_000),
        ):
            assert _knock(door, data) == b""


def test_a_peer_with_the_token_that_says_who_it_is_not(engine: Any) -> None:
    hellos = [
        b"",
        b"-1",
        b"999999",
        b"nobody",
        b"\xff\xfe",
        b"9" * 255,
        str(engine.number).encode(),
    ]
    for hello in hellos:
        assert _knock(engine.address, HELLO + engine.token + bytes([len(hello)]) + hello) == b""


def test_ten_thousand_bad_greetings(engine: Any, host: Any) -> None:
    rng = random.Random(11)
    doors = _doors(host)
    good = HELLO + engine.token + b"\x012"
    for number in range(10_000):
        data = bytearray(good)
        data[rng.randrange(len(HELLO) + 16)] ^= rng.randrange(1, 256)
        assert _knock(doors[number % len(doors)], bytes(data[: rng.randrange(1, len(data) + 1)])) == b""
        if number % 2_000 == 0:
            assert skate.get(add.remote(number, 1), timeout=10) == number + 1


@pytest.mark.slow
def test_strangers_that_say_nothing_are_let_go_and_hold_up_nobody(engine: Any, host: Any) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(100)]
        for sock in silent:
            sock.connect(engine.address)
        assert skate.get(add.remote(1, 2), timeout=10) == 3
        assert skate.get(host.doors.remote(), timeout=10)
        silent[0].settimeout(15)
        assert silent[0].recv(1) == b""  # nobody waits for ever for a greeting


_NO_FRAMES = [
    b"x" * 64,
    struct.pack("<II", MAGIC, MAX_FRAME + 1),
    struct.pack("<II", MAGIC, 10) + b"not so long",
]
_NO_MESSAGES: list[Any] = [
    None,
    7,
    {},
    [1],
    [()],
    [(10**9,)],
    [("x",)],
    [(1,)],
    [(2, 3)],
    [(3,)],
    [(4, 5)],
    [(7,)],
]


def _framed(value: Any) -> bytes:
    body = marshal.dumps(value, 2)
    return struct.pack("<II", MAGIC, len(body)) + body


@pytest.mark.parametrize(
    "data", [*_NO_FRAMES, *map(_framed, _NO_MESSAGES)], ids=[*"abc", *map(repr, _NO_MESSAGES)]
)
def test_nonsense_with_the_right_token_ends_the_connection_and_not_the_worker(
    engine: Any, host: Any, data: bytes
) -> None:
    pid = skate.get(host.pid.remote(), timeout=10)
    for door in _doors(host):
        if door != engine.address:
            _knock(door, HELLO + engine.token + b"\x03999" + data)
    assert skate.get(add.remote(1, 2), timeout=20) == 3
    assert skate.get(host.pid.remote(), timeout=10) == pid


@pytest.mark.parametrize(
    "message",
    [
        (10**9,),
        ("x",),
        (41,),
        (49, "key"),
        (47, [("key", 1)]),
        (50, 1, 2, "x"),
        (62, 1, "no", b"", b"", b"", 1),
    ],
)
def test_a_worker_that_sends_the_node_nonsense_is_cut_off(engine: Any, message: tuple[Any, ...]) -> None:
    @skate.remote(max_retries=0)
    def talk(nonsense: tuple[Any, ...]) -> None:
        mine: Any = runtime.current()
        mine.tell(*nonsense)
        mine.ask(66)  # never answered: this worker is not listened to any more

    with pytest.raises(skate.exceptions.RayError):
        skate.get(talk.remote(message), timeout=10)
