"""What tasks share with the program, as they run in its process: environment, signals, threads, locks."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import skate
from tests.support import run_code


def test_environment_variables_are_there_only_while_a_task_runs(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SKATE_PROBE", raising=False)
    start(num_cpus=2)
    inside = []

    @skate.remote
    def other() -> str | None:
        return os.environ.get("SKATE_PROBE")

    @skate.remote(runtime_env={"env_vars": {"SKATE_PROBE": "mine"}})
    def probe(box: list[Any]) -> list[str | None]:
        before = os.environ.get("SKATE_PROBE")
        skate.wait(box)
        return [before, os.environ.get("SKATE_PROBE")]

    plain = other.remote()
    inside = skate.get(probe.remote([plain]))
    assert inside == ["mine", "mine"]
    assert skate.get(plain) is None
    assert "SKATE_PROBE" not in os.environ


def test_local_mode_is_this_engine() -> None:
    @skate.remote
    def pid() -> int:
        return os.getpid()

    with skate.init(local_mode=True):
        assert skate.get(pid.remote()) == os.getpid()


def test_gpus_are_named_while_a_task_runs(start: Callable[..., Any]) -> None:
    start(num_gpus=2)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")

    @skate.remote(num_gpus=1)
    def seen() -> tuple[str, list[Any]]:
        return os.environ["CUDA_VISIBLE_DEVICES"], skate.get_gpu_ids()

    devices, ids = skate.get(seen.remote())
    assert devices == ",".join(map(str, ids)) and len(ids) == 1
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


@pytest.mark.usefixtures("session")
def test_an_interrupt_during_a_task_interrupts_whoever_waits() -> None:
    @skate.remote
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    @skate.remote
    def fine() -> int:
        return 1

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a program of its own
    try:
        ref = interrupted.remote()
        with pytest.raises(KeyboardInterrupt):
            skate.get(ref)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert skate.get(fine.remote()) == 1


@pytest.mark.usefixtures("session")
def test_everything_runs_in_one_thread() -> None:
    @skate.remote
    def where() -> int:
        return threading.get_ident()

    assert set(skate.get([where.remote() for _ in range(4)])) == {threading.get_ident()}


@pytest.mark.usefixtures("session")
def test_shutdown_unwinds_what_waits(tmp_path: Any) -> None:
    unwound = tmp_path / "unwound"

    @skate.remote(num_cpus=0)
    class Never:
        async def come(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                (tmp_path / "cancelled").touch()

    never = Never.remote()

    @skate.remote
    def waits() -> None:
        try:
            skate.get(never.come.remote())
        finally:
            unwound.touch()

    ref = waits.remote()
    assert skate.wait([ref], timeout=0.05) == ([], [ref])
    skate.shutdown()
    assert unwound.exists()
    assert (tmp_path / "cancelled").exists()


@pytest.mark.usefixtures("session")
def test_an_endless_generator_can_be_read_and_dropped(tmp_path: Any) -> None:
    closed = tmp_path / "closed"

    @skate.remote
    def endless() -> Any:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.touch()

    stream = endless.remote()
    assert [skate.get(next(stream)) for _ in range(3)] == [0, 1, 2]
    del stream
    for _ in range(10):
        skate.put(0)
    assert closed.exists()


@pytest.mark.usefixtures("session")
def test_sockets_in_an_asyncio_actor() -> None:
    @skate.remote
    class Echo:
        async def talk(self) -> bytes:
            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(await reader.readline())
                await writer.drain()
                writer.close()
                await writer.wait_closed()

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"hello\n")
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
            return line

    assert skate.get(Echo.remote().talk.remote()) == b"hello\n"


@pytest.mark.usefixtures("session")
def test_asyncio_run_inside_a_task_may_await_refs() -> None:
    @skate.remote
    def double(x: int) -> int:
        return 2 * x

    @skate.remote
    def runs_a_loop() -> list[int]:
        async def main() -> list[int]:
            await asyncio.sleep(0)
            return list(await asyncio.gather(*[double.remote(i) for i in range(3)]))

        return asyncio.run(main())

    assert skate.get(runs_a_loop.remote()) == [0, 2, 4]


def test_a_breakpoint_in_a_task_is_in_the_programs_own_process() -> None:
    code = """
import io, pdb, skate
skate.init(engine="inline", num_cpus=1)
@skate.remote
def f(x):
    y = x + 1
    debugger = pdb.Pdb(stdin=io.StringIO("p y * 10\\nc\\n"), stdout=out, nosigint=True, readrc=False)
    debugger.set_trace()
    return y
out = io.StringIO()
f._function.__globals__["out"] = out
import types
module = types.ModuleType("user_module"); module.__dict__.update(globals())
import sys; sys.modules["user_module"] = module
f._function.__module__ = "user_module"; module.f = f._function
print(skate.get(f.remote(1)), "20" in out.getvalue())
skate.shutdown()
"""
    assert run_code(code).strip() == "2 True"


@pytest.mark.usefixtures("session")
def test_an_async_call_cancelled_before_its_first_step() -> None:
    @skate.remote
    class Starts:
        async def call(self) -> int:
            return 1

        async def cancel(self, box: list[Any]) -> None:
            skate.cancel(box[0])

    starts = Starts.remote()
    assert skate.get(starts.call.remote()) == 1
    ref = starts.call.remote()
    skate.wait([ref], timeout=0)  # makes its coroutine, and does not run it
    skate.cancel(ref)
    with pytest.raises(skate.exceptions.TaskCancelledError):
        skate.get(ref)
    assert skate.get(starts.call.remote()) == 1
