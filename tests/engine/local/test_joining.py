"""Reaching the node of a session that may have begun just now."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from skate.engine.local import driver, registry, wire


def _entry(pid: int, born: str) -> registry.Entry:
    return registry.Entry("s", pid, born, 0.0, "/nowhere", "/nowhere/node", "", b"t", "", False)


def test_a_node_that_does_not_listen_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    near, far = socket.socketpair()

    def connect(*about: Any) -> socket.socket:
        asked.append(about)
        if len(asked) < 3:
            raise FileNotFoundError(about[0])
        return near

    monkeypatch.setattr(wire, "connect", connect)
    with near, far:
        assert driver._reach(_entry(os.getpid(), registry._born(os.getpid()))) is near
    assert len(asked) == 3


def test_a_session_whose_process_is_gone_is_not_waited_for() -> None:
    with pytest.raises(FileNotFoundError):
        driver._reach(_entry(os.getpid(), "another time"))
