"""A run that is not on a terminal prints what its program prints, and no byte of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys
import skate

skate.init(num_cpus=2, engine=sys.argv[1])

@skate.remote
def square(x):
    return x * x

@skate.remote(max_retries=1)
def fails():
    raise ValueError("caught")

@skate.remote(max_retries=0)
def dies():
    import os
    os._exit(3)

@skate.remote
class Counter:
    def __init__(self, start):
        self.count = start
    def add(self, amount):
        self.count += amount
        return self.count
    def fails(self):
        raise KeyError("caught too")

@skate.remote
class Broken:
    def __init__(self):
        raise RuntimeError("caught as well")
    def never(self):
        return 1

assert skate.get([square.remote(i) for i in range(20)]) == [i * i for i in range(20)]
counter = Counter.options(name="the counter").remote(1)
assert skate.get([counter.add.remote(2) for _ in range(3)]) == [3, 5, 7]
big = skate.put(b"x" * 2_000_000)
assert len(skate.get(big)) == 2_000_000
doomed = [fails.remote(), counter.fails.remote(), Broken.remote().never.remote()]
if sys.argv[1] != "inline":
    doomed.append(dies.remote())
for ref in doomed:
    try:
        skate.get(ref)
    except (ValueError, KeyError, skate.exceptions.RayError):
        continue
    raise SystemExit("no error")
try:
    skate.get(square.options(num_cpus=1).remote(1), timeout=30)
    skate.cancel(square.remote(2))
    skate.kill(counter)
    skate.get(counter.add.remote(1))
except skate.exceptions.RayActorError:
    pass
list(skate.wait([square.remote(i) for i in range(3)], num_returns=3))
if len(sys.argv) > 2:
    skate.shutdown()
"""


@pytest.mark.parametrize("engine", ["local", "inline", "dask"])
@pytest.mark.parametrize("end", [(), ("shutdown",)], ids=["at exit", "shutdown"])
def test_no_byte_of_ours(engine: str, end: tuple[str, ...], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, program, engine, *end], check=False, capture_output=True, timeout=50
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
