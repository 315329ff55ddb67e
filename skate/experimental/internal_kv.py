"""The session's key-value pairs, under the names that libraries written for Ray use: small values that all processes share."""

from __future__ import annotations

from typing import Any

import skate
from skate import _kv

__all__: list[str] = []


def _bytes(value: str | bytes, what: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise TypeError(f"{what}={value!r}: a str or bytes is needed, got a {type(value).__name__}.")
    return value


def _namespace(namespace: str | bytes | None) -> bytes:
    return b"" if namespace is None else _bytes(namespace, "namespace")


def _internal_kv_initialized() -> bool:
    """Whether there is a session, and so its pairs."""
    return skate.is_initialized()


def _internal_kv_get(key: str | bytes, *, namespace: str | bytes | None = None) -> bytes | None:
    """The value of a key, or None."""
    found: bytes | None = _kv("get", _bytes(key, "key"), None, _namespace(namespace), False)
    return found


def _internal_kv_exists(key: str | bytes, *, namespace: str | bytes | None = None) -> bool:
    """Whether a key has a value."""
    return _internal_kv_get(key, namespace=namespace) is not None


def _internal_kv_put(
    key: str | bytes, value: str | bytes, overwrite: bool = True, *, namespace: str | bytes | None = None
) -> bool:
    """Set a key's value; an existing one stays if `overwrite` is False. Returns whether the key had one before."""
    added = _kv("put", _bytes(key, "key"), _bytes(value, "value"), _namespace(namespace), overwrite)
    return not added


def _internal_kv_del(
    key: str | bytes, *, del_by_prefix: bool = False, namespace: str | bytes | None = None
) -> int:
    """Remove a key, or all that begin with it. Returns how many there were."""
    space = _namespace(namespace)
    keys: list[Any] = [_bytes(key, "key")]
    if del_by_prefix:
        keys = _kv("keys", keys[0], None, space, False)
    return sum(int(bool(_kv("del", each, None, space, False))) for each in keys)


def _internal_kv_list(prefix: str | bytes, *, namespace: str | bytes | None = None) -> list[bytes]:
    """The keys that begin so."""
    return list(_kv("keys", _bytes(prefix, "prefix"), None, _namespace(namespace), False))


def _internal_kv_reset() -> None:
    """Ray's clients forget their connection so; there is none to forget here."""
