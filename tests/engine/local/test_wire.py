"""Frames and greetings from strangers and from the broken: refused, without harm."""

from __future__ import annotations

import itertools
import marshal
import os
import random
import resource
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skate.engine.local import wire
from skate.engine.local.wire import HELLO, MAGIC, MAX_FRAME, Conn, Greeting, ProtocolError

TOKEN = b"0123456789abcdef"
_FRAMES = 10_000
_PIECE = 30_000
"""Bytes that a socket takes without anybody reading."""

_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple),
    max_leaves=10,
)
_messages = st.lists(st.lists(_plain, min_size=1, max_size=4).map(tuple), min_size=1, max_size=5)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def _frame(body: bytes, magic: int = MAGIC, length: int | None = None) -> bytes:
    return struct.pack("<II", magic, len(body) if length is None else length) + body


def _read_all(data: bytes, splits: list[int] | None = None) -> list[Any] | None:
    """What a connection makes of bytes that arrive in pieces, and then the end."""
    ours, theirs = socket.socketpair()
    conn = Conn(ours)
    try:
        read: list[Any] = []
        edges = [0, *sorted(place % (len(data) + 1) for place in splits or []), len(data)]
        for start, end in itertools.pairwise(edges):
            for at in range(start, end, _PIECE):
                theirs.sendall(data[at : min(end, at + _PIECE)])
                messages = conn.receive()
                if messages is None:
                    return None
                read += messages
        while more := conn.receive():
            read += more
        return read
    finally:
        conn.close()
        theirs.close()


@given(frames=st.lists(_messages, min_size=1, max_size=4), splits=st.lists(st.integers(0, 10**6), max_size=8))
def test_any_split_of_the_frames_gives_the_same_messages(frames: list[list[Any]], splits: list[int]) -> None:
    data = b"".join(_frame(marshal.dumps(messages, 2)) for messages in frames)
    assert _read_all(data, splits) == [message for messages in frames for message in messages]


@given(frames=st.lists(_messages, min_size=1, max_size=4))
def test_what_is_sent_is_received(frames: list[list[Any]]) -> None:
    ours, theirs = socket.socketpair()
    sender, receiver = Conn(ours), Conn(theirs)
    for messages in frames:
        for message in messages:
            sender.send(message)
        assert sender.flush()
    read: list[Any] = []
    while more := receiver.receive():
        read += more
    sender.close()
    receiver.close()
    assert read == [message for messages in frames for message in messages]


def test_more_than_the_kernel_takes_is_kept_until_there_is_room(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sender, receiver = Conn(pair[0]), Conn(pair[1])
    big = os.urandom(5_000_000)
    sender.send(("first", big))
    assert sender.flush() and sender.wants_write and sender.backlog() > 0
    sender.send(("second",))
    assert sender.flush()
    read: list[Any] = []
    while len(read) < 2:
        read += receiver.receive() or []
        assert sender.push()
    assert read == [("first", big), ("second",)]
    assert not sender.wants_write and sender.backlog() == 0


def _bad_frame(rng: random.Random) -> bytes:
    """Bytes that are no frame, in one of the ways in which bytes can be none."""
    good = marshal.dumps([(rng.randrange(200), rng.randbytes(rng.randrange(40)), rng.random())], 2)
    kind = rng.randrange(6)
    if kind == 0:
        return _frame(good, magic=rng.randrange(1 << 32))
    if kind == 1:
        return _frame(good, length=rng.randrange(MAX_FRAME + 1, 1 << 32))
    if kind == 2:
        return _frame(rng.randbytes(rng.randrange(1, 60)))
    if kind == 3:
        return _frame(good[: rng.randrange(len(good))])
    if kind == 4:
        broken = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        return _frame(bytes(broken))
    value: Any = rng.choice([(), 7, b"x", None, {}, [()], [[]], [1], [None, (1,)], ["text"], {1: 2}])
    return _frame(marshal.dumps(value, 2))


@pytest.fixture
def _little_memory() -> Iterator[None]:
    """Half a gigabyte more than now: a broken frame may ask for a tuple of four billion items, and must be refused it."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.slow
def test_ten_thousand_bad_frames_are_refused_or_read_but_never_do_harm() -> None:
    rng = random.Random(7)
    refused = 0
    for _ in range(_FRAMES):
        try:
            messages = _read_all(_bad_frame(rng))
        except ProtocolError:
            refused += 1
            continue
        # A few flipped bits may still be a frame: then it holds messages, and nothing else.
        assert messages is None or all(type(message) is tuple and message for message in messages)
    assert refused > _FRAMES // 2


def test_a_frame_that_is_nothing_but_nesting_is_refused() -> None:
    # marshal has a limit of its own on depth: the process must live to report it.
    with pytest.raises(ProtocolError):
        _read_all(_frame(b"(\x01\x00\x00\x00" * 100_000))


def test_a_header_that_promises_too_much_is_refused_before_anything_is_kept() -> None:
    with pytest.raises(ProtocolError, match="header"):
        _read_all(struct.pack("<II", MAGIC, MAX_FRAME + 1))


def test_a_promise_of_much_takes_no_memory_before_it_is_kept(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn = Conn(pair[0])
    pair[1].sendall(struct.pack("<II", MAGIC, MAX_FRAME))
    assert conn.receive() == []
    assert len(conn._inbox) == 8


def test_the_end_of_a_peer_in_the_middle_of_a_frame(pair: tuple[socket.socket, socket.socket]) -> None:
    conn = Conn(pair[0])
    pair[1].sendall(_frame(b"x" * 100)[:50])
    assert conn.receive() == []
    pair[1].close()
    assert conn.receive() is None


# -- greetings -----------------------------------------------------------------------------------------------


def _greet(data: bytes, splits: list[int] | None = None, hang_up: bool = False) -> bytes | None:
    ours, theirs = socket.socketpair()
    try:
        greeting = Greeting(ours, deadline=0.0)
        edges = [0, *sorted(place % (len(data) + 1) for place in splits or []), len(data)]
        answer = None
        for start, end in itertools.pairwise(edges):
            theirs.sendall(data[start:end])
            answer = greeting.receive(TOKEN)
            if answer is not None:
                return answer
        if hang_up:
            theirs.close()
            answer = greeting.receive(TOKEN)
        return answer
    finally:
        ours.close()
        theirs.close()


@given(hello=st.binary(max_size=255), splits=st.lists(st.integers(0, 300), max_size=6))
def test_who_shows_the_token_is_admitted_however_it_arrives(hello: bytes, splits: list[int]) -> None:
    assert _greet(HELLO + TOKEN + bytes([len(hello)]) + hello, splits) == hello


@given(st.binary(min_size=len(HELLO) + len(TOKEN) + 1, max_size=300))
def test_a_stranger_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        _greet(data, hang_up=True)


def test_ten_thousand_bad_greetings_are_refused() -> None:
    rng = random.Random(7)
    good = HELLO + TOKEN + b"\x03abc"
    for _ in range(_FRAMES):
        data = bytearray(good)
        place = rng.randrange(len(HELLO) + len(TOKEN))
        data[place] ^= rng.randrange(1, 256)
        cut = rng.choice([len(data), rng.randrange(1, len(data))])
        with pytest.raises(ProtocolError):
            _greet(bytes(data[:cut]), hang_up=True)


@pytest.mark.parametrize(
    "length", [0, 1, len(HELLO), len(HELLO) + 5, len(HELLO) + len(TOKEN), len(HELLO) + len(TOKEN) + 2]
)
def test_who_leaves_before_the_greeting_is_over_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        _greet((HELLO + TOKEN + b"\x03abc")[:length], hang_up=True)


def test_the_bytes_after_a_greeting_stay_in_the_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    frame = _frame(marshal.dumps([(1,)], 2))
    pair[1].sendall(HELLO + TOKEN + b"\x01w" + frame)
    assert Greeting(pair[0], 0.0).receive(TOKEN) == b"w"
    assert Conn(pair[0]).receive() == [(1,)]


def test_a_listening_socket_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    sock = wire.listen(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sock.close()


def test_connecting_to_nobody_closes_the_socket(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        wire.connect(str(tmp_path / "nobody"), TOKEN)


def test_messages_that_are_too_many_for_a_frame_travel_in_several(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME", 300)
    sender, receiver = (Conn(sock) for sock in pair)
    sent = [(number, bytes(40)) for number in range(100)]
    for message in sent:
        sender.send(message)
    assert sender.flush()
    received: list[Any] = []
    while len(received) < len(sent):
        received += receiver.receive() or []
    assert received == sent
    sender.send((1, bytes(400)))
    sender.send((2,))
    with pytest.raises(ProtocolError, match="a message of"):
        sender.flush()
