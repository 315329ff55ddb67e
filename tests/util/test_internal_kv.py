"""The session's key-value pairs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.api import ray, submodule

kv = submodule("experimental.internal_kv")


def test_pairs() -> None:
    assert kv._internal_kv_initialized()
    assert kv._internal_kv_put("pair", "1") is False
    assert kv._internal_kv_put("pair", "2") is True
    assert kv._internal_kv_put(b"pair", b"3", overwrite=False) is True
    assert kv._internal_kv_get("pair") == b"2"
    assert kv._internal_kv_exists("pair")
    assert kv._internal_kv_get("nothing") is None
    assert kv._internal_kv_del("pair") == 1
    assert kv._internal_kv_del("pair") == 0


def test_namespaces_and_prefixes() -> None:
    for key in ("p1", "p2", "q"):
        kv._internal_kv_put(key, "x", namespace="space")
    assert sorted(kv._internal_kv_list("p", namespace="space")) == [b"p1", b"p2"]
    assert kv._internal_kv_list("p") == []
    assert kv._internal_kv_del("p", del_by_prefix=True, namespace=b"space") == 2
    assert kv._internal_kv_list("", namespace="space") == [b"q"]


def test_workers_share_them() -> None:
    @ray.remote
    def write(key: str) -> Any:
        kv._internal_kv_put(key, "from a task")

    ray.get(write.remote("shared"))
    assert kv._internal_kv_get("shared") == b"from a task"


def test_keys_are_text_or_bytes() -> None:
    with pytest.raises(TypeError, match="key=3"):
        kv._internal_kv_get(3)
    with pytest.raises(TypeError, match="value=3"):
        kv._internal_kv_put("a", 3)
