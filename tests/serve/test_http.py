"""HTTP with a real client."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

import skate
from skate import serve
from skate.util import list_named_actors
from tests.serve.conftest import address, until


def test_values_become_responses(http: httpx.Client) -> None:
    @serve.deployment
    class Values:
        async def __call__(self, request: Request) -> Any:
            kind = request.query_params["kind"]
            if kind == "numpy":
                import numpy as np

                return {"x": np.arange(2), "y": np.float32(0.5)}
            if kind == "response":
                return JSONResponse({"a": 1}, status_code=201)
            return {"str": "é", "bytes": b"raw", "none": None, "list": [1, "a"], "dict": {"k": {"n": 1.5}}}[
                kind
            ]

    serve.run(Values.bind())
    got = {
        kind: http.get("/", params={"kind": kind})
        for kind in ("str", "bytes", "none", "list", "dict", "numpy")
    }
    assert {kind: response.text for kind, response in got.items()} == {
        "str": "é",
        "bytes": "raw",
        "none": "",
        "list": '[1,"a"]',
        "dict": '{"k":{"n":1.5}}',
        "numpy": '{"x":[0,1],"y":0.5}',
    }
    assert got["str"].headers["content-type"] == "text/plain; charset=utf-8"
    assert got["dict"].headers["content-type"] == "application/json"
    assert http.get("/?kind=response").status_code == 201


def test_functions_plain_methods_and_request_bodies(http: httpx.Client) -> None:
    @serve.deployment
    async def echo(request: Request) -> str:
        return f"{request.method} {request.url.path} {(await request.body()).decode()}"

    @serve.deployment
    class Plain:
        def __call__(self, request: Request) -> dict[str, str]:
            return dict(request.query_params)

    @serve.deployment
    def nothing() -> str:
        return "no request taken"

    serve.run(echo.bind(), name="echo", route_prefix="/echo")
    serve.run(Plain.bind(), name="plain", route_prefix="/plain")
    serve.run(nothing.bind(), name="nothing", route_prefix="/nothing")
    assert http.post("/echo/x", content=b"body").text == "POST /echo/x body"
    assert http.get("/plain?a=1").json() == {"a": "1"}
    assert http.get("/nothing").text == "no request taken"
    assert http.get("/-/routes").json() == {"/echo": "echo", "/plain": "plain", "/nothing": "nothing"}


def test_a_class_for_handles_alone_is_deployed_and_answers_500(http: httpx.Client) -> None:
    @serve.deployment
    class Methods:
        def double(self, x: int) -> int:
            return 2 * x

    handle = serve.run(Methods.bind())
    assert handle.double.remote(2).result() == 4
    assert http.get("/").status_code == 500


def test_unknown_paths_errors_and_ids(http: httpx.Client) -> None:
    @serve.deployment
    class Failing:
        def __call__(self, request: Request) -> None:
            raise ValueError("secret words")

    assert http.get("/-/healthz").text == "success"
    assert http.get("/").status_code == 404
    serve.run(Failing.bind(), route_prefix="/fail")
    response = http.get("/fail", headers={"x-request-id": "mine"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"] == "mine"
    missing = http.get("/other")
    assert missing.status_code == 404
    assert "/-/routes" in missing.text
    assert len(missing.headers["x-request-id"]) == 36
    serve.delete("default")
    until(lambda: http.get("/fail").status_code == 404)


def test_fastapi_methods_get_their_instance(http: httpx.Client) -> None:
    app = FastAPI()

    @app.get("/free")
    def free() -> str:
        return "no self"

    @serve.deployment
    @serve.ingress(app)
    class Api:
        def __init__(self) -> None:
            self.hits = 0

        @app.get("/hits/{name}")
        def hit(self, name: str, extra: int = 1) -> dict[str, Any]:
            self.hits += extra
            return {"name": name, "hits": self.hits}

        @app.post("/double")
        async def double(self, body: dict[str, int]) -> dict[str, int]:
            return {key: 2 * value for key, value in body.items()}

        @app.websocket("/ws")
        async def socket(self, ws: WebSocket) -> None:
            await ws.accept()
            while True:
                await ws.send_text(f"{self.hits}:{await ws.receive_text()}")

        def plain(self) -> int:
            return self.hits

    handle = serve.run(Api.bind(), route_prefix="/api")
    assert http.get("/api/free").json() == "no self"
    assert http.get("/api/hits/a?extra=2").json() == {"name": "a", "hits": 2}
    assert http.post("/api/double", json={"x": 2}).json() == {"x": 4}
    assert http.get("/api/hits/a?extra=x").status_code == 422
    assert http.get("/api/missing").status_code == 404
    assert "/hits/{name}" in http.get("/api/openapi.json").json()["paths"]
    assert handle.plain.remote().result() == 2

    from websockets.sync.client import connect

    with connect(address().replace("http", "ws") + "/api/ws") as ws:
        ws.send("a")
        assert ws.recv() == "2:a"


def test_builders_lifespans_and_any_asgi_app(http: httpx.Client) -> None:
    def build() -> FastAPI:
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> Any:
            app.state.word = "started"
            yield

        made = FastAPI(lifespan=lifespan)

        @made.get("/")
        def read() -> str:
            return str(made.state.word)

        return made

    @serve.deployment
    @serve.ingress(build)
    class Built:
        pass

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": json.dumps([scope["path"], scope["root_path"]]).encode()}
        )

    @serve.deployment
    @serve.ingress(bare)
    class Bare:
        pass

    serve.run(Built.bind(), name="built", route_prefix="/built")
    serve.run(Bare.bind(), name="bare", route_prefix="/bare")
    assert http.get("/built/").json() == "started"
    assert http.get("/bare/x").json() == ["/bare/x", "/bare"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_streams_come_piece_by_piece(http: httpx.Client, replicas: int) -> None:
    @serve.deployment(num_replicas=replicas, max_ongoing_requests=1)
    class Slow:
        async def __call__(self, request: Request) -> StreamingResponse:
            async def pieces() -> Any:
                for number in range(3):
                    yield f"data: {number}\n\n"
                    await asyncio.sleep(0.05)

            return StreamingResponse(pieces(), media_type="text/event-stream")

    serve.run(Slow.bind())

    def read() -> list[str]:
        with http.stream("GET", "/") as response:
            return [line for line in response.iter_lines() if line]

    assert read() == ["data: 0", "data: 1", "data: 2"]
    # More at once than fit into the replica that has the connection: they wait, or go to the other one.
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(read())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [["data: 0", "data: 1", "data: 2"]] * 4


def test_generators_stream_too(http: httpx.Client) -> None:
    @serve.deployment
    class Generates:
        def __call__(self, request: Request) -> Any:
            yield from ("a", "b", b"c")

    serve.run(Generates.bind())
    assert http.get("/").text == "abc"


def test_a_client_that_leaves_cancels_its_request(http: httpx.Client, tmp_path: Any) -> None:
    @serve.deployment
    class Patient:
        async def __call__(self, request: Request) -> None:
            (tmp_path / "started").touch()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                (tmp_path / "cancelled").touch()
                raise

    serve.run(Patient.bind())
    with pytest.raises(httpx.ReadTimeout):
        http.get("/", timeout=0.3)
    until((tmp_path / "cancelled").exists)


def test_many_clients_that_leave_hold_no_place(http: httpx.Client) -> None:
    @serve.deployment(max_ongoing_requests=20)
    async def slow(request: Request) -> str:
        if request.url.path == "/slow":
            await asyncio.sleep(60)
        return "quick"

    serve.run(slow.bind())
    url = httpx.URL(address())
    for _ in range(200):
        with socket.create_connection((url.host, url.port or 0)) as raw:
            raw.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
    assert http.get("/quick").text == "quick"
    (actor,) = [found for found in list_named_actors(all_namespaces=True) if "#slow#" in found["name"]]
    replica = skate.get_actor(actor["name"], namespace="serve")
    until(lambda: skate.get(replica.load.remote())[0] == 0)


def test_a_late_answer_is_a_408(session: None) -> None:
    serve.start(http_options={"port": 0, "request_timeout_s": 0.1})

    @serve.deployment
    async def slow(request: Request) -> str:
        await asyncio.sleep(60)
        return "never"

    serve.run(slow.bind())
    assert httpx.get(address()).status_code == 408
    serve.shutdown()


def test_a_request_too_many_is_refused(http: httpx.Client, tmp_path: Any) -> None:
    @serve.deployment(
        max_ongoing_requests=1,
        max_queued_requests=1,
        backpressure_config={"status_code": 429, "retry_after_s": 3},
    )
    class Slow:
        async def __call__(self, request: Request) -> str:
            (tmp_path / "started").touch()
            while not (tmp_path / "open").exists():
                await asyncio.sleep(0.01)
            return "done"

    serve.run(Slow.bind())
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.get(http.base_url, timeout=20))

    threads = [threading.Thread(target=ask)]
    threads[0].start()
    until((tmp_path / "started").exists)
    # One of two others waits, so that the other is too many.
    threads += [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads[1:]:
        thread.start()
    until(lambda: answers)
    assert answers[0].status_code == 429
    assert answers[0].headers["retry-after"] == "3"
    (tmp_path / "open").touch()
    for thread in threads:
        thread.join()
    assert [answer.text for answer in answers[1:]] == ["done", "done"]


def test_keep_alive_connections_survive_an_update(http: httpx.Client) -> None:
    @serve.deployment
    class Versioned:
        def __init__(self, version: int) -> None:
            self.version = version

        async def __call__(self, request: Request) -> str:
            await asyncio.sleep(0.005)
            return str(self.version)

    serve.run(Versioned.bind(1))
    seen: list[str] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=http.base_url, timeout=20) as client:
            while not stop.is_set():
                try:
                    response = client.get("/")
                    seen.append(
                        response.text if response.status_code == 200 else f"status {response.status_code}"
                    )
                except Exception as error:  # noqa: BLE001 -- what the test is about
                    failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 30)
    serve.run(Versioned.bind(2))
    until(lambda: seen[-1] == "2")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert set(seen) == {"1", "2"}


def test_new_connections_go_to_all_replicas(http: httpx.Client) -> None:
    @serve.deployment(num_replicas=2)
    def who(request: Request) -> str:
        return serve.get_replica_context().replica_tag

    serve.run(who.bind())
    assert len({httpx.get(http.base_url).text for _ in range(12)}) == 2


def test_malformed_requests_and_a_port_in_use(http: httpx.Client) -> None:
    port = httpx.URL(address()).port
    with socket.create_connection(("127.0.0.1", port or 0)) as raw:
        raw.sendall(b"this is not HTTP\r\n\r\n")
        assert b"400" in raw.recv(1000).split(b"\r\n")[0]
    serve.shutdown()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="Can't listen"):
            serve.start(http_options={"port": other.getsockname()[1]})


def test_model_ids_come_in_a_header(http: httpx.Client) -> None:
    @serve.deployment
    class Models:
        def __init__(self) -> None:
            self.loaded: list[str] = []

        @serve.multiplexed(max_num_models_per_replica=2)
        async def get_model(self, model_id: str) -> str:
            self.loaded.append(model_id)
            return f"model {model_id}"

        async def __call__(self, request: Request) -> dict[str, Any]:
            model = await self.get_model(serve.get_multiplexed_model_id())
            return {"model": model, "loaded": self.loaded}

    handle = serve.run(Models.bind())
    for wanted in ("a", "a", "b", "c", "a"):
        response = http.get("/", headers={"serve_multiplexed_model_id": wanted})
        assert response.json()["model"] == f"model {wanted}"
    assert http.get("/", headers={"serve_multiplexed_model_id": "a"}).json()["loaded"] == ["a", "b", "c", "a"]
    assert (
        skate.get(handle.options(multiplexed_model_id="a").get_model.remote("a")._to_object_ref_sync())
        == "model a"
    )
