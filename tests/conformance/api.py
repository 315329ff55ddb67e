"""The module under test: Skate on one of its engines, or Ray itself as the peer that sets the meaning.

Nothing else in this folder imports Skate or Ray. ``SKATE_CONFORMANCE_PEER=ray`` runs the same tests on an installed
Ray; ``SKATE_CONFORMANCE_ENGINES=local`` (comma separated) runs them on some engines only.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol, cast

ALL_ENGINES = ("inline", "local", "dask")
PEER = os.environ.get("SKATE_CONFORMANCE_PEER", "")
if PEER not in ("", "ray"):
    raise ValueError(
        f"SKATE_CONFORMANCE_PEER is {PEER!r}; the only peer is 'ray', or leave it unset to test Skate"
    )


def _chosen_engines() -> tuple[str, ...]:
    if PEER:
        return (PEER,)
    names = tuple(filter(None, os.environ.get("SKATE_CONFORMANCE_ENGINES", "").split(",")))
    unknown = set(names) - set(ALL_ENGINES)
    if unknown:
        raise ValueError(
            f"SKATE_CONFORMANCE_ENGINES names {sorted(unknown)}; known engines are {list(ALL_ENGINES)}"
        )
    return names or ALL_ENGINES


ENGINES = _chosen_engines()


class Decorator(Protocol):
    """What ``remote`` and ``method`` return: usable as a decorator, and with attributes the tests look up by name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __getattr__(self, name: str) -> Any: ...


class Api(Protocol):
    """The public API, loosely typed: a conformance test also passes what a type checker would refuse."""

    @property
    def __name__(self) -> str: ...

    @property
    def __file__(self) -> str: ...

    def remote(self, *args: Any, **options: Any) -> Decorator: ...

    def method(self, *args: Any, **options: Any) -> Decorator: ...

    def __getattr__(self, name: str) -> Any: ...


ray: Api = cast(Any, importlib.import_module(PEER or "skate"))


def submodule(name: str) -> Any:
    """Import a public submodule of the module under test, for example ``submodule("util.queue")``."""
    return importlib.import_module(f"{ray.__name__}.{name}")


def launch_arguments(engine: str) -> dict[str, Any]:
    """The ``init`` arguments of a plain two-CPU session on this engine."""
    if PEER:
        return {"num_cpus": 2, "include_dashboard": False, "logging_level": "error"}
    return {"engine": engine, "num_cpus": 2}


def launch(engine: str, **arguments: Any) -> Any:
    """Start a session on this engine; ``arguments`` add to the plain ones, and a value of ``None`` removes one."""
    merged = {**launch_arguments(engine), **arguments}
    return ray.init(**{name: value for name, value in merged.items() if value is not None})
