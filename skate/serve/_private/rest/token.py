"""The token of the REST API: of the environment, or made anew and kept where only this user can read it."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

_VARIABLES = ("SKATE_AUTH_TOKEN", "RAY_AUTH_TOKEN")
_PATH_VARIABLES = ("SKATE_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN_PATH")


def token_path() -> Path:
    """The file that a token is kept in."""
    for name in _PATH_VARIABLES:
        if os.environ.get(name):
            return Path(os.environ[name])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skate" / "rest-token"


def read_token() -> str:
    """The token that this user's commands send; "" if there is none."""
    for name in _VARIABLES:
        if os.environ.get(name):
            return os.environ[name]
    path = token_path()
    return path.read_text().strip() if path.is_file() else ""


def make_token() -> str:
    """The token that a server asks for: the one there is, or a new one, written down for this user's commands."""
    known = read_token()
    if known:
        return known
    path = token_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = secrets.token_urlsafe(32)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    # Complete and closed to others before it has its name, whatever was there: an empty file may be open to them.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    os.replace(new, path)
    return token


def is_right(header: str, token: str) -> bool:
    """Whether an `Authorization` header has the token; compared in constant time."""
    kind, _, given = header.partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
