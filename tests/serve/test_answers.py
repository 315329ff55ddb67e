"""How answers leave a process, and what names requests: parts that need no session."""

from __future__ import annotations

import asyncio
import os
import uuid
import warnings
from collections.abc import Callable
from typing import Any

from skate.serve._private.http.server import _Answers
from skate.serve._private.request_ids import new_request_id


class Transport:
    """Notes what it is asked to send, call by call."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.sent.append(b"".join(parts))

    def close(self) -> None:
        self.sent.append("closed")

    def get_write_buffer_size(self) -> int:
        return 0


def _sent(write: Callable[[Any], None]) -> list[Any]:
    """What has been sent by the end of the loop's turn."""

    async def main() -> list[Any]:
        transport: Any = Transport()
        write(_Answers(transport, asyncio.get_running_loop()))
        await asyncio.sleep(0)
        sent: list[Any] = transport.sent
        return sent

    return asyncio.run(main())


def test_head_and_body_are_sent_at_once() -> None:
    def write(answers: Any) -> None:
        answers.write(b"head ")
        assert answers.get_write_buffer_size() == 5
        answers.write(b"body")

    assert _sent(write) == [b"head body"]


def test_a_head_without_a_body_does_not_wait_for_one() -> None:
    assert _sent(lambda answers: answers.write(b"head")) == [b"head"]


def test_what_waits_is_sent_before_the_connection_ends() -> None:
    def write(answers: Any) -> None:
        answers.write(b"head")
        answers.close()

    assert _sent(write) == [b"head", "closed"]


def test_a_third_part_is_sent_too() -> None:
    def write(answers: Any) -> None:
        for part in (b"a", b"b", b"c"):
            answers.write(part)

    assert _sent(write) == [b"ab", b"c"]


def test_ids_of_requests_are_uuids() -> None:
    made = uuid.UUID(new_request_id())
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


def test_a_fork_does_not_repeat_its_parents_ids() -> None:
    reader, writer = os.pipe()
    with warnings.catch_warnings(action="ignore"):  # of libraries that other tests have imported
        child = os.fork()
    if child == 0:
        os.write(writer, new_request_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert uuid.UUID(told)
    assert told != new_request_id()
