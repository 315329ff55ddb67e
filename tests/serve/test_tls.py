"""HTTPS."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from skate import serve
from tests.serve.conftest import address


def test_applications_over_tls(session: None, certificate: tuple[str, str]) -> None:
    key, made = certificate
    serve.start(http_options={"port": 0, "ssl_keyfile": key, "ssl_certfile": made})

    @serve.deployment
    def name(request: Request) -> str:
        return f"{request.url.scheme} {request.url.path}"

    serve.run(name.bind(), name="a", route_prefix="/a")
    base = address().replace("http", "https")
    with httpx.Client(verify=ssl.create_default_context(cafile=made), base_url=base) as client:
        assert client.get("/a").text == "https /a"
        serve.run(name.bind(), name="b", route_prefix="/b")
        assert [client.get(path).text for path in ("/a", "/b")] == ["https /a", "https /b"]
        assert client.get("/c").status_code == 404
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{address()}/a")
    serve.shutdown()


def test_half_of_a_certificate_is_refused(session: None) -> None:
    with pytest.raises(ValueError, match="together"):
        serve.start(http_options={"ssl_keyfile": "key.pem"})
    for half in ("ssl_keyfile", "ssl_certfile"):
        options: dict[str, Any] = {half: "half.pem"}
        with pytest.raises(ValueError, match="together"):
            serve.HTTPOptions(**options)
