"""What tasks print reaches the driver: all of it, in order, also what they printed last."""

from __future__ import annotations

import re

import pytest

from tests.reliability import programs

_PREFIX = re.compile(r"^\(.*? pid=\d+\) ", re.MULTILINE)


def run(body: str, timeout: float = 40, dedup: str = "0") -> str:
    """Run a program that is shown every line, unless `dedup` is "1", and return all it wrote."""
    return programs.run(body, timeout=timeout, RAY_DEDUP_LOGS=dedup)


def _lines(output: str) -> list[str]:
    return _PREFIX.sub("", output).splitlines()


def _print_much(megabytes: int, timeout: float) -> None:
    count = megabytes * 10_000
    body = f"""
skate.init(num_cpus=1)

@skate.remote
def talk():
    for number in range({count}):
        print(f"line {{number:08d}} " + "x" * 85)
    return "done"

assert skate.get(talk.remote()) == "done"
skate.shutdown()
"""
    output = run(body, timeout=timeout)
    lines = [line for line in _lines(output) if line.startswith("line ")]
    assert len(lines) == count
    assert lines == [f"line {number:08d} " + "x" * 85 for number in range(count)]


def test_ten_megabytes_arrive_in_order() -> None:
    _print_much(10, 50)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_megabytes_arrive_in_order() -> None:
    _print_much(100, 280)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("end", ["\\n", ""])
def test_the_last_line_of_a_crash_is_kept(stream: str, end: str) -> None:
    body = f"""
skate.init(num_cpus=1)

@skate.remote(max_retries=0)
def crash(number):
    print("last words of", number, end="{end}", file=sys.{stream})
    sys.{stream}.flush()
    os._exit(1)

for number in range(5):
    try:
        skate.get(crash.remote(number))
    except skate.exceptions.WorkerCrashedError:
        pass
skate.shutdown()
"""
    lines = [line for line in _lines(run(body)) if line.startswith("last words")]
    assert sorted(lines) == [f"last words of {number}" for number in range(5)]


def test_what_is_printed_just_before_shutdown_is_kept() -> None:
    body = """
skate.init(num_cpus=1)

@skate.remote
def talk(number):
    print("number", number)

for number in range(50):
    skate.get(talk.remote(number))
skate.shutdown()
"""
    assert [line for line in _lines(run(body)) if line.startswith("number")] == [
        f"number {n}" for n in range(50)
    ]


def test_the_output_of_a_native_library_and_of_a_child_is_kept() -> None:
    body = """
skate.init(num_cpus=1)

@skate.remote
def talk():
    import subprocess
    os.write(1, b"from below\\n")
    subprocess.run(["echo", "from a child"], check=True)

skate.get(talk.remote())
skate.shutdown()
"""
    lines = _lines(run(body))
    assert "from below" in lines and "from a child" in lines


def test_control_characters_that_are_printed_arrive() -> None:
    body = r"""
skate.init(num_cpus=1)

@skate.remote
def talk():
    print("before\x01after")
    print("the next line")

skate.get(talk.remote())
skate.shutdown()
"""
    lines = _lines(run(body))
    assert "before\x01after" in lines and "the next line" in lines


def test_a_line_without_an_end_that_is_longer_than_any_buffer_arrives() -> None:
    body = """
skate.init(num_cpus=1)

@skate.remote
def talk():
    print("x" * 3_000_000)

skate.get(talk.remote())
skate.shutdown()
"""
    assert _PREFIX.sub("", run(body)).count("x") == 3_000_000


def test_tasks_that_print_do_not_wait_for_a_driver_that_does_not_read() -> None:
    body = """
skate.init(num_cpus=2, log_to_driver=False)

@skate.remote
def talk():
    for number in range(20_000):
        print("y" * 500)
    return 1

assert skate.get([talk.remote() for _ in range(2)], timeout=20) == [1, 1]
skate.shutdown()
"""
    assert run(body) == ""


_ALIKE = """
skate.init(num_cpus=1)

@skate.remote(num_cpus=0)
class Speaker:
    def __init__(self, number):
        self.number = number

    def __repr__(self):
        return f"Speaker(number={self.number})"

    def say(self, text):
        print(text)

speakers = [Speaker.remote(number) for number in range(4)]
skate.get([speaker.say.remote(f"hello from {number}") for number, speaker in enumerate(speakers)])
skate.get([speakers[0].say.remote("only mine") for _ in range(3)])
skate.shutdown()
"""


def test_lines_that_several_workers_print_are_shown_once_and_counted() -> None:
    output = run(_ALIKE, dedup="1")
    hello = [line for line in _lines(output) if line.startswith("hello")]
    assert len(hello) == 2, output
    assert "[repeated" not in hello[0] and "[repeated 3x across cluster]" in hello[1]
    assert _lines(output).count("only mine") == 3


def test_all_lines_are_shown_where_that_is_asked_for() -> None:
    lines = _lines(run(_ALIKE))
    assert sorted(line for line in lines if line.startswith("hello")) == [f"hello from {n}" for n in range(4)]


def test_the_prefix_is_how_the_actor_shows_itself() -> None:
    output = run(_ALIKE)
    assert re.search(r"^\(Speaker\(number=0\) pid=\d+\) only mine$", output, re.MULTILINE), output


def test_the_count_is_told_while_the_program_goes_on() -> None:
    body = """
skate.init(num_cpus=1)

@skate.remote(num_cpus=0)
class Speaker:
    def say(self):
        print("the same")

speakers = [Speaker.remote() for _ in range(3)]
while True:
    skate.get([speaker.say.remote() for speaker in speakers])
"""
    with programs.driver(body, RAY_DEDUP_LOGS_AGG_WINDOW_S="0.5") as program:
        first = program.out.readline()
        assert "the same" in first and "[repeated" not in first
        assert any("x across cluster]" in line for line in program.out)
