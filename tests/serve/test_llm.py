"""Language models behind OpenAI's API, with OpenAI's own client and a tiny model that knows nothing."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import struct
import sys
import warnings
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import serve
from skate.serve.llm import (
    LLMConfig,
    ModelLoadingConfig,
    build_dp_deployment,
    build_dp_openai_app,
    build_llm_deployment,
    build_openai_app,
    build_pd_openai_app,
)
from skate.serve.llm._engine import make_engine
from skate.serve.llm.openai_api_models import CompletionRequest
from tests.leaks import guard
from tests.serve.conftest import address

openai: Any = pytest.importorskip("openai")
transformers: Any = pytest.importorskip("transformers")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # importing transformers takes seconds


_WHISPER = {
    "vocab_size": 258,
    "num_mel_bins": 8,
    "d_model": 16,
    **{f"{half}coder_layers": 1 for half in ("en", "de")},
    **{f"{half}coder_attention_heads": 2 for half in ("en", "de")},
    **{f"{half}coder_ffn_dim": 16 for half in ("en", "de")},
    "max_source_positions": 50,
    "max_target_positions": 24,
    "bos_token_id": 256,
    "eos_token_id": 256,
    "pad_token_id": 257,
    "decoder_start_token_id": 256,
    "suppress_tokens": [256, 257],  # it never ends by itself: an answer is never empty
    "begin_suppress_tokens": None,
}


def recording(seconds: float) -> bytes:
    """A WAV file with a tone."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        made.writeframes(
            struct.pack("<h", 9000) * int(4000 * seconds) + struct.pack("<h", -9000) * int(4000 * seconds)
        )
    return file.getvalue()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal model and a model of embeddings, small and random, with a tokenizer of bytes."""
    import torch
    import tqdm
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    tqdm.tqdm.monitor_interval = 0  # no thread that watches bars, and outlives them
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_: Any = Tokenizer(BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens(["<end>", "<pad>"])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bytes_, eos_token="<end>", pad_token="<pad>"
    )
    sizes = {"vocab_size": 258, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    causal = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**sizes, bos_token_id=256, eos_token_id=256, pad_token_id=257)
    )
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    embedder = transformers.BertModel(
        transformers.BertConfig(vocab_size=258, max_position_embeddings=64, **small)
    )
    speech = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**_WHISPER))
    for name, model in (("causal", causal), ("embedder", embedder), ("speech", speech)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder / "speech")
    return folder


def config(models: Path, name: str, **options: Any) -> LLMConfig:
    return LLMConfig(
        model_loading_config=ModelLoadingConfig(model_id=f"my/{name}", model_source=str(models / name)),
        llm_engine="transformers",
        **options,
    )


PRELOAD = [
    "skate.serve.preload",
    "torch",
    *(
        f"transformers.models.{name}"
        for name in ("gpt2.modeling_gpt2", "bert.modeling_bert", "whisper.modeling_whisper")
    ),
    *(f"transformers.models.auto.{name}" for name in ("modeling_auto", "tokenization_auto")),
]


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[Any]:
    skate.shutdown()
    with guard.window():
        skate.init(num_cpus=10, preload=PRELOAD)
        serve.start(http_options={"port": 0})
        embedder = config(models, "embedder", engine_kwargs={"task": "embed"})
        speech = config(models, "speech", engine_kwargs={"task": "transcribe"})
        serve.run(build_openai_app({"llm_configs": [config(models, "causal"), embedder, speech]}))
        with openai.OpenAI(base_url=f"{address()}/v1", api_key="none", max_retries=0) as made:
            yield made
        serve.shutdown()
        skate.shutdown()


CHAT = {"model": "my/causal", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


def test_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["my/causal", "my/embedder", "my/speech"]
    assert client.models.retrieve("my/causal").id == "my/causal"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("other")


def test_a_chat_and_its_stream_say_the_same(client: Any) -> None:
    whole = client.chat.completions.create(**CHAT, temperature=0)
    assert whole.choices[0].finish_reason in ("length", "stop")
    assert whole.usage.completion_tokens <= 8
    pieces = list(client.chat.completions.create(**CHAT, temperature=0, stream=True))
    assert (
        "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
    )
    assert [piece.choices[0].finish_reason for piece in pieces][-1] == whole.choices[0].finish_reason


def test_a_seed_makes_an_answer_certain_and_a_stop_ends_it(client: Any) -> None:
    ask = {"model": "my/causal", "prompt": "abc", "max_tokens": 30}
    first, second = (client.completions.create(**ask, seed=7).choices[0] for _ in range(2))
    assert first.text == second.text
    one, other = (client.completions.create(**ask).choices[0].text for _ in range(2))
    assert one != other
    letter = next(
        letter for letter in first.text[3:] if letter.isprintable() and letter not in first.text[:3]
    )
    stopped = client.completions.create(**ask, seed=7, stop=letter).choices[0]
    assert (stopped.text, stopped.finish_reason) == (first.text.partition(letter)[0], "stop")
    both = client.completions.create(model="my/causal", prompt=["a", "b"], max_tokens=2)
    assert [choice.index for choice in both.choices] == [0, 1]


def test_a_recording_is_written_down_whole_and_streamed(client: Any) -> None:
    ask = {"model": "my/speech", "file": ("tone.wav", recording(0.5))}
    whole = client.audio.transcriptions.create(**ask)
    assert whole.text
    assert whole.usage.output_tokens > 0
    assert client.audio.transcriptions.create(**ask, response_format="text") == whole.text
    events = list(client.audio.transcriptions.create(**ask, stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == whole.text
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    longer = client.audio.transcriptions.create(model="my/speech", file=("tone.wav", recording(1.5)))
    assert (
        longer.usage.output_tokens > whole.usage.output_tokens
    )  # more than the second that the model hears at once


def test_what_cannot_be_transcribed(client: Any) -> None:
    create = client.audio.transcriptions.create
    with pytest.raises(openai.BadRequestError, match="in no format that is known"):
        create(model="my/speech", file=("noise.wav", b"RIFF"))
    with pytest.raises(openai.BadRequestError, match="knows one language"):
        create(model="my/speech", file=("tone.wav", recording(0.1)), language="en")
    with pytest.raises(openai.BadRequestError, match="does not transcribe"):
        create(model="my/causal", file=("tone.wav", recording(0.1)))
    with pytest.raises(openai.BadRequestError, match="transcribes recordings"):
        client.chat.completions.create(model="my/speech", messages=CHAT["messages"])
    with pytest.raises(openai.BadRequestError, match="response_format"):
        create(model="my/speech", file=("tone.wav", recording(0.1)), response_format="srt")
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        create(model="other", file=("tone.wav", recording(0.1)))


def test_embeddings_have_length_one_in_either_encoding(client: Any) -> None:
    found = client.embeddings.create(
        model="my/embedder", input=["one", "three"], encoding_format="float"
    ).data
    assert [round(sum(x * x for x in each.embedding), 4) for each in found] == [1, 1]
    packed = client.embeddings.with_raw_response.create(
        model="my/embedder", input=["one", "three"], encoding_format="base64"
    ).http_response.json()
    numbers = struct.unpack("<16f", base64.b64decode(packed["data"][0]["embedding"]))
    assert numbers == pytest.approx(found[0].embedding)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"model": "my/causal", "messages": []}, "messages"),
        ({**CHAT, "temperature": -1}, "temperature"),
        ({**CHAT, "messages": [{"role": "user", "content": "x" * 100}]}, "context is 64 tokens"),
        ({**CHAT, "model": "my/embedder"}, "embeds texts"),
    ],
)
def test_a_wrong_request_is_answered_in_words(client: Any, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(**request_)
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(**request_, stream=True)
    with pytest.raises(openai.BadRequestError, match="not loaded for embeddings"):
        client.embeddings.create(model="my/causal", input="x")


def test_a_model_without_http_and_requests_that_begin_alike(client: Any, models: Path) -> None:
    options = {
        "num_replicas": 2,
        "request_router_config": {
            "request_router_class": "ray.serve.llm.request_router:PrefixCacheAffinityRouter"
        },
    }
    app = build_llm_deployment(config(models, "causal", deployment_config=options), name_prefix="Own:")
    handle: Any = serve.run(app, name="own", route_prefix=None)
    assert handle.deployment_name == "Own:my--causal"
    seen = []
    for ending in "abcdef":
        request = CompletionRequest(prompt="the same beginning, long enough " + ending, max_tokens=1)
        response = handle.options(stream=True).completions.remote(request)
        assert len(list(response)) == 1
        seen.append(response._request.slot.info.id)
    assert len(set(seen)) == 1


def ask(base: str, model: str, **more: Any) -> str:
    given = {"prompt": "abc", "max_tokens": 12, "temperature": 0, **more}
    with openai.OpenAI(base_url=base, api_key="none", max_retries=0) as one:
        text: str = one.completions.create(model=model, **given).choices[0].text
    return text


def test_a_prompt_is_read_by_one_replica_and_gone_on_with_by_another(client: Any, models: Path) -> None:
    causal = config(models, "causal", engine_kwargs={"kv_transfer_config": {}})
    app = build_pd_openai_app({"prefill_config": causal, "decode_config": causal})
    serve.run(app, name="pd", route_prefix="/pd")
    base = f"{address()}/pd/v1"
    for more in ({}, {"temperature": 1, "seed": 3}, {"max_tokens": 1}):
        assert ask(base, "my/causal", **more) == ask(f"{address()}/v1", "my/causal", **more)
    with pytest.raises(openai.BadRequestError, match="context is 64 tokens"):
        ask(base, "my/causal", prompt="x" * 100)
    names = serve.status().applications["pd"].deployments
    assert set(names) == {"Prefill:my--causal", "Decode:my--causal", "OpenAiIngress"}
    serve.delete("pd")


def test_replicas_of_a_group_start_together(client: Any, models: Path) -> None:
    causal = config(models, "causal", engine_kwargs={"data_parallel_size": 2})
    serve.run(build_dp_openai_app({"llm_config": causal}), name="dp", route_prefix="/dp")
    assert ask(f"{address()}/dp/v1", "my/causal") == ask(f"{address()}/v1", "my/causal")
    states = serve.status().applications["dp"].deployments["LLMServer:my--causal"].replica_states
    assert states == {"RUNNING": 2}
    serve.delete("dp")
    with pytest.raises(ValueError, match="Invalid data_parallel_size: 0"):
        build_dp_deployment(config(models, "causal", engine_kwargs={"data_parallel_size": 0}))


@pytest.fixture(scope="module")
def adapters(models: Path) -> Path:
    """Two adapters of the causal model, which change what it says."""
    peft = pytest.importorskip("peft")
    import torch

    folder = models / "adapters"
    for seed, name in ((1, "one"), (2, "two")):
        torch.manual_seed(seed)
        model = transformers.GPT2LMHeadModel.from_pretrained(models / "causal")
        lora = peft.LoraConfig(
            r=4,
            lora_alpha=64,
            target_modules=["c_attn", "c_fc"],
            init_lora_weights=False,
            fan_in_fan_out=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft calls transformers by names that will go
            peft.get_peft_model(model, lora).save_pretrained(folder / name)
    return folder


def test_adapters_are_loaded_when_they_are_asked_for(client: Any, models: Path, adapters: Path) -> None:
    lora = {"dynamic_lora_loading_path": str(adapters), "max_num_adapters_per_replica": 1}
    app = build_openai_app({"llm_configs": [config(models, "causal", lora_config=lora)]})
    serve.run(app, name="lora", route_prefix="/lora")
    base = f"{address()}/lora/v1"
    with openai.OpenAI(base_url=base, api_key="none") as one:
        assert [m.id for m in one.models.list()] == ["my/causal", "my/causal:one", "my/causal:two"]
    plain = ask(f"{address()}/v1", "my/causal")
    said = {name: ask(base, f"my/causal:{name}") for name in ("one", "two", "one")}  # each makes room
    assert len({plain, *said.values()}) == 3
    with concurrent.futures.ThreadPoolExecutor(6) as pool:  # side by side: none takes another's adapter
        names = ["my/causal", "my/causal:one", "my/causal:two"] * 4
        answers = list(pool.map(lambda name: ask(base, name), names))
    assert answers == [plain, said["one"], said["two"]] * 4
    for name in ("three", "../causal"):
        with pytest.raises(openai.NotFoundError, match="no adapter"):
            ask(base, f"my/causal:{name}")
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        ask(f"{address()}/v1", "my/causal:one")
    serve.delete("lora")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"llm_engine": "other"}, "Unsupported engine"),
        ({"lora_config": {"max_num_adapters_per_replica": 0}}, "max_num_adapters"),
        ({"deployment_config": {"num_replicas": 0}}, "num_replicas"),
        ({"bogus": 1}, "bogus"),
    ],
)
def test_a_wrong_configuration_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LLMConfig(model_loading_config=ModelLoadingConfig(model_id="m"), **options)
    with pytest.raises(ValueError, match="unique"):
        one = {"model_loading_config": {"model_id": "m"}}
        build_openai_app({"llm_configs": [one, one]})


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    config = LLMConfig(model_loading_config=ModelLoadingConfig(model_id="m"), llm_engine="vLLM")
    with pytest.raises(ImportError, match=r'pip install "skate\[serve-vllm\]"'):
        make_engine(config)
