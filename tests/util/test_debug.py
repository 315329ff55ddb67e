"""Saying something once."""

from __future__ import annotations

import pytest

from skate.util import debug


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_disabled", False), ("_periodic", False), ("_last", 0.0), ("_logged", set())):
        monkeypatch.setattr(debug, name, value)


def test_each_key_is_said_once() -> None:
    assert [debug.log_once(key) for key in "aabab"] == [True, False, True, False, False]


def test_keys_can_be_forgotten() -> None:
    assert debug.log_once("a") and debug.log_once("b")
    debug.reset_log_once("a")
    assert debug.log_once("a") and not debug.log_once("b")
    debug.reset_log_once()
    assert debug.log_once("b")


def test_it_can_be_switched_off() -> None:
    debug.disable_log_once_globally()
    assert not debug.log_once("a")


def test_it_can_say_things_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(debug.time, "monotonic", lambda: now)
    debug.enable_periodic_logging()
    assert debug.log_once("a")
    now += 30
    assert not debug.log_once("a")
    now += 31
    assert debug.log_once("a") and not debug.log_once("a")
