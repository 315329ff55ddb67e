"""Processors: an HTTP endpoint, a deployment, a model of transformers, engines of one's own."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import skate
import skate.data
from skate.data import llm
from skate.data.llm import http
from skate.data.llm.config import resolve_stage
from skate.exceptions import UserCodeException


class Endpoint(BaseHTTPRequestHandler):
    """Answers a question by its words; some paths fail."""

    failures: dict[str, int] = {}  # noqa: RUF012 - how often a path is to fail, set by a test
    asked: list[Any] = []  # noqa: RUF012
    lock = threading.Lock()
    now = most = 0  # requests under way

    def do_POST(self) -> None:
        with Endpoint.lock:
            Endpoint.now += 1
            Endpoint.most = max(Endpoint.most, Endpoint.now)
        if self.path == "/slow":
            time.sleep(0.05)  # the work that an answer takes
        with Endpoint.lock:
            Endpoint.now -= 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Endpoint.asked.append((self.headers["Content-Type"], body, self.headers.get("X-Key")))
        if Endpoint.failures.get(self.path, 0) > 0:
            Endpoint.failures[self.path] -= 1
            self.answer(503, b"busy")
        elif self.path == "/refused":
            self.answer(400, b"no such model")
        elif self.path == "/text":
            self.answer(200, b"plain text")
        elif "multipart" in self.headers["Content-Type"]:
            self.answer(200, json.dumps({"size": len(body), "has": b"spam.png" in body}).encode())
        else:
            question = json.loads(body)
            self.answer(200, json.dumps({"answer": str(question["text"]).upper()}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Endpoint.failures, Endpoint.asked, Endpoint.most = {}, [], 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def questions(*texts: Any) -> skate.data.Dataset:
    return skate.data.from_items([{"id": place, "text": text} for place, text in enumerate(texts)])


def asking(url: str, **settings: Any) -> llm.Processor:
    return llm.build_llm_processor(
        llm.HttpRequestProcessorConfig(url=url, **settings),
        preprocess=lambda row: {"payload": {"text": row["text"]}},
        postprocess=lambda row: {"id": row["id"], "answer": row["http_response"]["answer"]},
    )


@pytest.mark.usefixtures("session")
def test_each_row_is_a_request(url: str) -> None:
    processor = asking(url, headers={"X-Key": "secret"}, batch_size=2, concurrency=1)
    rows = processor(questions("one", "two", "three")).take_all()
    assert rows == [{"id": 0, "answer": "ONE"}, {"id": 1, "answer": "TWO"}, {"id": 2, "answer": "THREE"}]
    assert {(kind, key) for kind, _, key in Endpoint.asked} == {("application/json", "secret")}
    assert processor.list_stage_names() == ["HttpRequestStage"]
    assert set(processor.get_stage_by_name("HttpRequestStage").get_required_input_keys()) == {"payload"}
    with pytest.raises(ValueError, match="not found"):
        processor.get_stage_by_name("other")


@pytest.mark.usefixtures("session")
def test_a_busy_endpoint_is_asked_again(url: str) -> None:
    Endpoint.failures["/"] = 2
    settings = {"max_retries": 2, "base_retry_wait_time_in_s": 0.01}
    assert asking(url + "/", **settings)(questions("a")).take_all() == [{"id": 0, "answer": "A"}]
    Endpoint.failures["/"] = 5
    with pytest.raises(UserCodeException, match=r"Reached maximum retries of 2.*status 503.*busy"):
        asking(url + "/", **settings)(questions("a")).take_all()


@pytest.mark.usefixtures("session")
def test_all_batches_of_a_worker_share_its_limits(url: str) -> None:
    texts = questions(*"abcdefgh").repartition(1).materialize()  # one block, of four batches
    assert asking(url + "/slow", batch_size=2)(texts).count() == 8
    assert 1 <= Endpoint.most <= 2


def test_all_batches_share_the_rate(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: 7.0))
    monkeypatch.setattr(asyncio, "sleep", note)

    async def ask() -> list[Any]:
        stage = http.HttpRequestStage(url, qps=20)
        batch = [{"payload": {"text": "a"}}, {"payload": {"text": "b"}}]
        return list(await asyncio.gather(stage.answer(batch), stage.answer(batch)))

    assert [len(answers) for answers in asyncio.run(ask())] == [2, 2]
    assert [pause for pause in pauses if pause] == pytest.approx([0.05, 0.1, 0.15])


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("path", "message"), [("/refused", "status 400.*no such model"), ("/text", "no JSON: plain")]
)
def test_an_answer_that_is_none_is_an_error(url: str, path: str, message: str) -> None:
    with pytest.raises(UserCodeException, match=message):
        asking(url + path)(questions("a")).take_all()


@pytest.mark.usefixtures("session")
def test_an_endpoint_that_is_not_there_is_named() -> None:
    with pytest.raises(UserCodeException, match=r"Reached maximum retries of 0.*127\.0\.0\.1:9"):
        asking("http://127.0.0.1:9")(questions("a")).take_all()


@pytest.mark.usefixtures("session")
def test_files_are_sent_as_a_form(url: str) -> None:
    processor = llm.build_processor(
        llm.HttpRequestProcessorConfig(url=url, headers={"Content-Type": "application/json"}),
        preprocess=lambda row: {
            "payload": {"image": {"content": b"x" * 500, "filename": "spam.png"}, "scores": np.arange(2)}
        },
        postprocess=lambda row: row["http_response"],
    )
    (row,) = processor(questions("a")).take_all()
    assert row["has"] and row["size"] > 500


@pytest.mark.usefixtures("session")
def test_what_a_stage_needs_must_be_there(url: str) -> None:
    processor = llm.build_processor(llm.HttpRequestProcessorConfig(url=url))
    with pytest.raises(UserCodeException, match=r"Required input keys \['payload'\] not found.*'id', 'text'"):
        processor(questions("a")).take_all()


@pytest.mark.usefixtures("session")
def test_columns_and_values_of_any_kind_travel_with_their_rows(url: str) -> None:
    processor = llm.build_processor(
        llm.HttpRequestProcessorConfig(url=url),
        preprocess=lambda row: {"payload": {"text": row["text"]}, "kept": {"deep": [row["id"], None]}},
        postprocess=lambda row: {"text": row["text"], "deep": row["kept"]["deep"][0]},
        preprocess_map_kwargs={"num_cpus": 0.5},
    )
    assert processor(questions("a", "b")).take_all() == [{"text": "a", "deep": 0}, {"text": "b", "deep": 1}]


def test_stages_of_one_name_are_all_kept() -> None:
    def stage() -> llm.Stage:
        class Own(llm.StageFunction):
            def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
                return [{} for _ in rows]

        return llm.Stage(Own)

    one = stage()
    processor = llm.Processor(llm.ProcessorConfig(), [one, stage(), one])
    assert processor.list_stage_names() == ["Own", "Own_2", "Own_3"]


def test_configurations_are_checked(url: str) -> None:
    with pytest.raises(ValueError, match="positive integer"):
        llm.ProcessorConfig(concurrency=0)
    with pytest.raises(ValueError, match="min > max"):
        llm.ProcessorConfig(concurrency=(3, 2))
    assert llm.ProcessorConfig(concurrency=4).get_concurrency() == {"min_size": 1, "max_size": 4}
    assert llm.ProcessorConfig(concurrency=4).get_concurrency(False) == {"size": 4}
    assert llm.ProcessorConfig(concurrency=(1, 2)).get_concurrency() == {"min_size": 1, "max_size": 2}
    with pytest.raises(ValueError, match="cannot be disabled"):
        llm.build_processor(llm.HttpRequestProcessorConfig(url=url, http_request_stage=False))
    with pytest.raises(ValueError, match="builder_kwargs cannot contain"):
        llm.build_processor(llm.HttpRequestProcessorConfig(url=url), builder_kwargs={"preprocess": None})
    with pytest.raises(ValueError, match="not registered"):
        llm.build_processor(llm.ProcessorConfig())
    with pytest.raises(TypeError, match="Unsupported type for stage config"):
        resolve_stage(3, llm.TokenizerStageConfig, {})
    own = resolve_stage({"batch_size": 5}, llm.TokenizerStageConfig, {"batch_size": 9, "model_source": "m"})
    assert (own.batch_size, own.model_source, own.enabled) == (5, "m", True)


@pytest.mark.parametrize("package", ["vllm", "sglang"])
def test_an_engine_whose_package_is_missing_names_it(package: str) -> None:
    kinds: dict[str, Any] = {"vllm": llm.vLLMEngineProcessorConfig, "sglang": llm.SGLangEngineProcessorConfig}
    with pytest.raises(ImportError, match=f'pip install "{package}"'):
        llm.build_processor(kinds[package](model_source="some/model"))


class Echo:
    """A deployment that some calls fail in."""

    async def say(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["text"] == "bad":
            raise ValueError("can't say that")
        return {"said": request["text"] * 2}


def test_a_deployment_answers(session: None) -> None:
    from skate import serve

    serve.start(http_options={"port": 0})
    serve.run(serve.deployment(Echo).bind(), name="echo", route_prefix=None)
    try:

        def processor(goes_on: bool) -> llm.Processor:
            return llm.build_processor(
                llm.ServeDeploymentProcessorConfig(
                    deployment_name="Echo", app_name="echo", should_continue_on_error=goes_on
                ),
                preprocess=lambda row: {"method": "say", "request_kwargs": {"text": row["text"]}},
                postprocess=lambda row: {"id": row["id"], "said": row["said"]},
            )

        rows = processor(True)(questions("a", "bad")).take_all()
        assert (rows[0]["id"], rows[0]["said"], rows[0]["__inference_error__"]) == (0, "aa", "")
        assert rows[1]["id"] == 1 and "can't say that" in rows[1]["__inference_error__"]
        with pytest.raises(UserCodeException, match="can't say that"):
            processor(False)(questions("bad")).take_all()
    finally:
        serve.shutdown()


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "morning", "evening", "all"]


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """A model of a few numbers, saved as the real ones are."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("tqdm").tqdm.monitor_interval = 0  # no thread that looks after its bars
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    transformers.set_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(WORDS), **sizes)).save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.timeout(300)  # a process that imports torch and transformers
@pytest.mark.usefixtures("session")
def test_embeddings_of_a_model_of_transformers(tiny: str) -> None:
    processor = llm.build_processor(
        llm.TransformersEngineProcessorConfig(model_source=tiny, task_type="embed", batch_size=2),
        preprocess=lambda row: {"prompt": row["text"]},
        postprocess=lambda row: {"id": row["id"], "vector": row["embeddings"]},
    )
    rows = processor(questions("good morning", "good evening all", "good morning")).take_all()
    assert [row["id"] for row in rows] == [0, 1, 2]
    vectors = np.stack([row["vector"] for row in rows])
    assert vectors.shape == (3, 8) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], vectors[2], atol=1e-5) and not np.allclose(
        vectors[0], vectors[1], atol=1e-3
    )


def test_configurations_come_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "processor.yaml"
    file.write_text("model_source: m\nbatch_size: 5\nconcurrency: [1, 2]\n")
    config = llm.vLLMEngineProcessorConfig.from_file(str(file))
    assert (config.model_source, config.batch_size, config.concurrency) == ("m", 5, (1, 2))
    assert llm.ChatTemplateStageConfig.parse_yaml("chat_template: x").chat_template == "x"
    with pytest.raises(FileNotFoundError):
        llm.ProcessorConfig.from_file(str(tmp_path / "none.yaml"))
    with pytest.raises(ValueError, match="mapping of names to values"):
        llm.ProcessorConfig.parse_yaml("- 5")
    with pytest.raises(TypeError, match="batch_size"):
        llm.ProcessorConfig.parse_yaml("{}", batch_size=5)
    assert llm.ProcessorConfig.validate_concurrency((1, 2)) == (1, 2)
    with pytest.raises(ValueError, match="tuple items must be positive integers"):
        llm.ProcessorConfig.validate_concurrency((0, 2))
