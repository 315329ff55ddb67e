"""One session a module; each test has a Serve instance of its own, on a port that the system chooses."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import skate
from skate import serve
from skate.serve._private import client
from tests.leaks import guard
from tests.support import wait_until

_OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """Eight CPUs, as replicas hold one each."""
    skate.shutdown()
    with guard.window():
        skate.init(num_cpus=8, preload=["skate.serve.preload"])
        yield
        skate.shutdown()


@pytest.fixture
def instance(session: None) -> Iterator[None]:
    """An instance that ends with the test."""
    with guard.window():
        serve.start(http_options={"port": 0})
        yield
        serve.shutdown()


@pytest.fixture
def http(instance: None) -> Iterator[httpx.Client]:
    """A client of the instance."""
    with httpx.Client(base_url=address(), timeout=20) as made:
        yield made


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A key and a certificate for 127.0.0.1."""
    if _OPENSSL is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    key, made = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        _OPENSSL,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        made,
        *subject,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return key, made


def address() -> str:
    """Where the instance is reached over HTTP."""
    host, port = skate.get(client.controller().address.remote())
    return f"http://{host}:{port}"


def until(condition: Callable[[], Any], timeout: float = 45.0) -> Any:
    """Poll until the condition holds, for as long as a loaded machine may need; returns what it gave."""
    return wait_until(condition, timeout)
