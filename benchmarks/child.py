"""Entry point of a measured process: ``python -m benchmarks.child SUITE SYSTEM BENCHMARK full|quick``.

Prints one line of JSON on standard output and nothing else; what the system prints goes to standard error.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

from benchmarks.session import API_SYSTEMS, Session

__all__ = ["function_for", "main"]

TYPE_CHECKING = False  # as typing's own, without importing typing before the clock starts
if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Measured

    Benchmark = Callable[[Session], dict[str, Measured]]


def function_for(suite: str, benchmark: str, system: str) -> Benchmark | None:
    """Return the function that does ``benchmark`` on ``system``, or None if the system has no equivalent.

    Code on the shared API is written once, in the module of its area; other systems have a module each.
    """
    area, name = benchmark.split(".")
    module = area if system in API_SYSTEMS else f"on_{system}"
    path = f"benchmarks.{suite}.{module}"
    if importlib.util.find_spec(path) is None:  # a system that does nothing of this suite
        return None
    function: Benchmark | None = getattr(importlib.import_module(path), name, None)
    return function


def main(argv: list[str]) -> int:
    """Run one measurement and print its metrics."""
    suite, system, benchmark, effort = argv
    results = os.dup(1)
    os.dup2(2, 1)
    function = function_for(suite, benchmark, system)
    if function is None:
        raise SystemExit(f"{system} has no equivalent of {benchmark}")
    metrics = function(Session(system, quick=effort == "quick"))

    import json

    line = json.dumps({name: [one.values, one.reference, one.error] for name, one in metrics.items()})
    with os.fdopen(results, "w") as stream:
        stream.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
