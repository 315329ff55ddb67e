"""Compiled graphs: a chain of actors, beside the same chain made of calls."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample_in_turns

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["compiled_array", "compiled_chain"]

_LINKS = 3


class Link:
    """An actor of the chain."""

    def answer(self, value: Any) -> Any:
        """Return what was passed."""
        return value


def compiled_chain(session: Session) -> dict[str, Measured]:
    """Send a number through a chain of three actors, one execution at a time; a step is one actor."""
    return _measure(session, 7, 50)


def compiled_array(session: Session) -> dict[str, Measured]:
    """Send an array of 8 MB through the same chain."""
    return _measure(session, work.large_array(session.size(8_000_000, 800_000)), 5)


def _measure(session: Session, value: Any, times: int) -> dict[str, Measured]:
    with session.open() as ray:
        dag = importlib.import_module(f"{ray.__name__}.dag")
        link = ray.remote(num_cpus=0)(Link)
        links = [link.remote() for _ in range(_LINKS)]
        with dag.InputNode() as given:
            node = given
            for actor in links:
                node = actor.answer.bind(node)
        compiled = node.experimental_compile()

        def executions() -> None:
            answers = [ray.get(compiled.execute(value)) for _ in range(times)]
            _check(answers[-1], value)

        def chain() -> Any:
            ref = value
            for actor in links:
                ref = actor.answer.remote(ref)
            return ray.get(ref)

        def calls() -> None:
            answers = [chain() for _ in range(times)]
            _check(answers[-1], value)

        seconds, reference = sample_in_turns(session, [executions, calls], items=times * _LINKS, least=10)
        compiled.teardown()
    return {"seconds": Measured(seconds, reference)}


def _check(answer: Any, value: Any) -> None:
    if isinstance(value, int):
        check(answer, value)
    else:
        check((answer.shape, float(answer[-1])), (value.shape, float(value[-1])))
