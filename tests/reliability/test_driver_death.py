"""However the driver ends, nothing of its session outlives it."""

from __future__ import annotations

import signal
import textwrap
from pathlib import Path

import pytest

from tests.reliability.programs import driver, run

_BUSY = """
skate.init(num_cpus=2, object_store_memory=80 << 20, object_spilling_directory=os.environ.get("SPILL"))
session()

@skate.remote
def forever():
    import subprocess
    child = subprocess.Popen(["sleep", "1000"])
    open(os.environ["CHILD"], "a").write(f"{child.pid}\\n")
    while True:
        time.sleep(0.01)

@skate.remote(num_cpus=0)
class Idle:
    def ping(self):
        return 1
"""


@pytest.mark.parametrize("moment", ["busy", "idle", "spilled", "starting"])
def test_a_driver_that_is_killed_leaves_nothing(tmp_path: Path, moment: str) -> None:
    child = tmp_path / "child"
    spill = tmp_path / "spill"
    spill.mkdir()
    what = {
        "busy": 'refs = [forever.remote() for _ in range(2)]\nwait_until(lambda: os.path.exists(os.environ["CHILD"]), 30)\n',
        "idle": "actor = Idle.remote(); assert skate.get(actor.ping.remote()) == 1\n",
        "spilled": "refs = [skate.put(bytes(20 << 20)) for _ in range(8)]\n",
        "starting": "",
    }[moment]
    with driver(
        _BUSY + what + 'say("there")\ntime.sleep(100)', CHILD=str(child), SPILL=str(spill)
    ) as program:
        program.expect("session")
        program.expect("there")
        program.look()
        if moment == "spilled":
            assert [path for path in spill.rglob("*") if path.is_file()], "nothing was spilled"
        program.process.send_signal(signal.SIGKILL)
        program.process.wait(5)
        program.gone()
        assert list(spill.iterdir()) == []


def test_a_driver_that_is_terminated_leaves_nothing(tmp_path: Path) -> None:
    with driver(
        _BUSY + 'refs = [forever.remote()]\nsay("there")\ntime.sleep(100)', CHILD=str(tmp_path / "c")
    ) as program:
        program.expect("session")
        program.expect("there")
        program.look()
        program.process.terminate()
        program.process.wait(5)
        program.gone()


@pytest.mark.parametrize("who", ["zygote", "node"])
def test_the_rest_ends_when_the_session_loses_a_part(tmp_path: Path, who: str) -> None:
    program_text = f"""
    actor = Idle.remote()
    skate.get(actor.ping.remote())
    ref = forever.remote()
    wait_until(lambda: os.path.exists(os.environ["CHILD"]) and open(os.environ["CHILD"]).read().endswith("\\n"), 30)
    import psutil
    zygote = psutil.Process(runtime.engine.session.zygote_pid)
    node = min(zygote.children(), key=lambda child: child.pid)
    say("there")
    wait_until(lambda: os.path.exists(os.environ["GO"]), 30)
    os.kill({{"zygote": zygote.pid, "node": node.pid}}["{who}"], signal.SIGKILL)
    try:
        skate.get(ref, timeout=10)
    except skate.exceptions.RaySystemError as error:
        say("error", str(error).replace("\\n", " "))
    skate.shutdown()
    say("down")
    """
    go = tmp_path / "go"
    with driver(_BUSY + textwrap.dedent(program_text), CHILD=str(tmp_path / "c"), GO=str(go)) as program:
        program.expect("session")
        program.expect("there")
        program.look()
        go.touch()
        assert "session" in program.expect("error")
        program.expect("down")
        program.gone()
        program.end()


def test_ctrl_c_in_get_raises_and_the_session_goes_on(tmp_path: Path) -> None:
    body = """
    skate.init(num_cpus=2)
    session()

    @skate.remote
    def nap():
        time.sleep(100)

    @skate.remote
    def add(a, b):
        return a + b

    skate.get(add.remote(1, 1))
    ref = nap.remote()
    try:
        say("there")
        skate.get(ref)
    except KeyboardInterrupt:
        say("interrupted")
    say("sum", skate.get(add.remote(1, 2), timeout=10))
    skate.cancel(ref, force=True)
    """
    with driver(body) as program:
        program.expect("session")
        program.expect("there")
        program.look()
        program.process.send_signal(signal.SIGINT)
        program.expect("interrupted")
        assert program.expect("sum") == "3"
        program.end()
        program.gone()


def test_ctrl_c_again_and_again_breaks_nothing() -> None:
    body = """
    skate.init(num_cpus=2)

    @skate.remote
    def add(a, b):
        return a + b

    skate.get(add.remote(1, 1))
    stop, ready = threading.Event(), threading.Event()
    def pester():
        # One signal at a time, and only while it is waited for: the next comes when the last has been caught.
        while not stop.is_set():
            if ready.wait(0.01):
                ready.clear()
                time.sleep(0.003)
                os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=pester)
    interrupts = 0
    got = 0
    thread.start()
    end = time.monotonic() + 2
    ended = False
    while not ended:
        try:
            ready.set()
            while time.monotonic() < end:
                if skate.get([add.remote(n, 1) for n in range(20)], timeout=20) == list(range(1, 21)):
                    got += 1
            stop.set()
            thread.join()
            ended = True
        except KeyboardInterrupt:
            interrupts += 1
    assert interrupts > 10 and got > 0, (interrupts, got)
    say("sum", skate.get(add.remote(1, 2), timeout=10))
    skate.shutdown()
    """
    assert "sum 3" in run(body)


def test_an_exception_at_the_end_of_the_program() -> None:
    body = """
    import atexit
    skate.init(num_cpus=2)
    session()

    @atexit.register
    def late():
        say("late", skate.is_initialized())

    @skate.remote
    def nap():
        time.sleep(100)

    refs = [nap.remote() for _ in range(4)]
    say("there")
    sys.stdin.read()
    raise LookupError("the program's own")
    """
    with driver(body) as program:
        program.expect("session")
        program.expect("there")
        said = program.end(code=1, timeout=5)
        assert "LookupError: the program's own" in said
        assert said.count("Traceback") == 1, said
        assert not program.session_dir.exists()


def test_the_end_of_a_program_without_shutdown_is_silent_and_quick() -> None:
    body = """
    skate.init(num_cpus=2)

    @skate.remote
    class Counter:
        def add(self):
            return 1

    actor = Counter.remote()
    skate.get(actor.add.remote())
    ref = skate.put(bytes(1 << 20))
    pending = [actor.add.remote() for _ in range(10)]
    """
    assert run(body, timeout=10) == ""


def test_a_thread_that_waits_in_get_does_not_keep_the_program() -> None:
    body = """
    skate.init(num_cpus=1)

    @skate.remote
    def nap():
        time.sleep(100)

    ref = nap.remote()
    waits = threading.Event()
    def wait():
        waits.set()
        try:
            skate.get(ref)
        except skate.exceptions.RaySystemError:
            pass
    threading.Thread(target=wait, daemon=True).start()
    waits.wait()
    """
    run(body, timeout=10)
