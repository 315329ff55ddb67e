"""Gaps between engines as typed, strict expected failures, and the support matrix made of them.

A test that an engine does not pass carries one of four marks, each with its reason:

* ``todo``: the engine should pass it and one day will;
* ``engine_cant``: the engine's nature rules it out (one process cannot survive its own death);
* ``never``: left out on purpose;
* ``differs_from_ray``: Skate promises better than Ray here, so Ray itself is expected to fail.

All are strict: a test that passes in spite of its mark fails the run, so the marks stay true.
``python -m tests.conformance.support`` prints the matrix without running a test; with ``--write`` it goes into docs/engines.md.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

Kind = Literal["todo", "engine_cant", "never", "differs_from_ray"]
KNOWN_ENGINES = ("inline", "local", "dask", "ray")
HEADINGS: dict[Kind, str] = {
    "todo": "to do",
    "engine_cant": "the engine cannot",
    "never": "left out on purpose",
    "differs_from_ray": "Skate promises better",
}


@dataclass(frozen=True)
class Deviation:
    """One stated gap: ``engine`` is expected to fail the test, for ``reason``.

    Attributes:
        kind: Which of the four kinds of gap.
        engine: The engine that is expected to fail.
        reason: Why, in one sentence that makes sense in the published matrix.
        run: Whether the test is run at all; ``False`` where it would hang or end the test process.
    """

    kind: Kind
    engine: str
    reason: str
    run: bool = True


def _mark(kind: Kind, engines: str | Iterable[str], reason: str, run: bool) -> pytest.MarkDecorator:
    names = (engines,) if isinstance(engines, str) else tuple(engines)
    unknown = set(names) - set(KNOWN_ENGINES)
    if unknown or not reason:
        raise ValueError(
            f"{kind}: engines {sorted(names)} must be among {KNOWN_ENGINES} and the reason not empty"
        )
    return pytest.mark.deviation([Deviation(kind, name, reason, run) for name in names])


def todo(engines: str | Iterable[str], reason: str, *, run: bool = True) -> pytest.MarkDecorator:
    """These engines should pass the test and do not yet."""
    return _mark("todo", engines, reason, run)


def engine_cant(engines: str | Iterable[str], reason: str, *, run: bool = True) -> pytest.MarkDecorator:
    """The nature of these engines rules the test out."""
    return _mark("engine_cant", engines, reason, run)


def never(engines: str | Iterable[str], reason: str, *, run: bool = True) -> pytest.MarkDecorator:
    """These engines leave it out on purpose."""
    return _mark("never", engines, reason, run)


def differs_from_ray(reason: str, *, run: bool = True) -> pytest.MarkDecorator:
    """Skate promises better than Ray does: Ray is expected to fail the test."""
    return _mark("differs_from_ray", "ray", reason, run)


#: A task or actor that ends its own process, which on the inline engine is the test's process.
kills_its_process = engine_cant(
    "inline", "tasks share the driver's process, so one that dies takes all", run=False
)
#: A task that runs Python code which does not come back until something outside it has happened.
blocks_its_thread = engine_cant(
    "inline", "one task at a time: a task that blocks outside the API blocks all", run=False
)
#: A claim about several processes.
needs_processes = engine_cant("inline", "everything runs in one process", run=False)


def deviations(item: pytest.Item) -> Iterator[Deviation]:
    """Yield every gap stated for this test, whichever engine it is about."""
    for mark in item.iter_markers("deviation"):
        yield from mark.args[0]


def engine_of(item: pytest.Item) -> str | None:
    """Return the engine this test item runs on, or ``None`` for an item that runs on no engine."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine") if callspec is not None else None


def apply_deviations(items: Iterable[pytest.Item]) -> None:
    """Turn each gap stated for the engine a test runs on into a strict expected failure."""
    for item in items:
        for gap in deviations(item):
            if gap.engine == engine_of(item):
                reason = f"{HEADINGS[gap.kind]}: {gap.reason}"
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True, run=gap.run))


def _concept(item: pytest.Item) -> str:
    module = getattr(item, "module", None)
    doc: str = (getattr(module, "__doc__", None) or item.nodeid).strip()
    return doc.splitlines()[0].rstrip(".")


@dataclass
class SupportMatrix:
    """A table of concepts by engines, and the list of gaps; filled from collected tests.

    Use it as a pytest plugin, or give :meth:`add` items directly.
    """

    engines: tuple[str, ...] = ("inline", "local", "dask", "ray")
    tests: dict[str, dict[str, list[Deviation]]] = field(default_factory=dict)

    def add(self, item: pytest.Item) -> None:
        """Count one test item, once whichever engines it was collected for."""
        name = item.name.replace(f"[{engine_of(item)}]", "").replace(f"{engine_of(item)}-", "")
        self.tests.setdefault(_concept(item), {})[name] = list(deviations(item))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Pytest hook: count every collected item."""
        for item in session.items:
            self.add(item)

    def markdown(self) -> str:
        """Return the matrix as Markdown: what passes of each concept by engine, then every gap with its reason."""
        lines = ["| meaning | " + " | ".join(self.engines) + " |", "|---" * (len(self.engines) + 1) + "|"]
        for concept, tests in self.tests.items():
            cells = [self._cell(tests, engine) for engine in self.engines]
            lines.append(f"| {concept} | " + " | ".join(cells) + " |")
        for engine in self.engines:
            lines += self._gaps(engine)
        return "\n".join(lines) + "\n"

    @staticmethod
    def _cell(tests: dict[str, list[Deviation]], engine: str) -> str:
        missing = sum(any(gap.engine == engine for gap in gaps) for gaps in tests.values())
        return f"all but {missing}" if missing else "all"

    def _gaps(self, engine: str) -> list[str]:
        rows = [
            f"| `{name}` | {HEADINGS[gap.kind]} | {gap.reason} |"
            for tests in self.tests.values()
            for name, gaps in tests.items()
            for gap in gaps
            if gap.engine == engine
        ]
        return (
            ["", f"Gaps of `{engine}`:", "", "| test | kind | reason |", "|---|---|---|", *rows]
            if rows
            else []
        )


PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
"""The page that shows the matrix."""
_BEGIN, _END = "<!-- the support matrix begins -->\n", "<!-- the support matrix ends -->\n"


def page_with(matrix: str, page: str) -> str:
    """Return the page with its matrix replaced."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{matrix}\n{_END}{after}"


def collect() -> tuple[str, int]:
    """Collect the suite, and return its matrix and pytest's exit status."""
    matrix = SupportMatrix()
    here = str(Path(__file__).parent)
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        status = pytest.main([here, "--collect-only", "-q", "-p", "no:cacheprovider"], plugins=[matrix])
    if status:
        print(report.getvalue(), file=sys.stderr)
    return matrix.markdown(), int(status)


def main() -> int:
    """Print the support matrix, or write it into its page; return pytest's exit status."""
    matrix, status = collect()
    if status == 0 and "--write" in sys.argv:
        PAGE.write_text(page_with(matrix, PAGE.read_text()))
    elif status == 0:
        print(matrix, end="")
    return status


if __name__ == "__main__":
    sys.exit(main())
