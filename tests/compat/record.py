"""Write down the public names and signatures of an installed Ray, one file an area, under tests/compat/api.

Run it with a Python that has Ray and what its libraries need, from the root of the repository:

    python tests/compat/record.py

A line is a name, or a callable's name with its parameters: names, kinds and the defaults that are plain values. No text of Ray's is
taken. `name = other` says that two names are one object.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import pkgutil
import sys
import types
import typing
import warnings
from pathlib import Path
from typing import Any

API = Path(__file__).parent / "api"
AREAS = ("data", "train", "tune", "serve")
_LEFT_OUT = (
    *("ray.rllib", "ray.dashboard", "ray.scripts", "ray.core", "ray.autoscaler", "ray.workflow", "ray.llm"),
    *(
        "ray.thirdparty_files",
        "ray.cloudpickle",
        "ray.jars",
        "ray.setup",
        "ray.util.client",
        "ray.util.spark",
    ),
    *("ray.util.horovod", "ray.util.sgd", "ray.util.lightgbm", "ray.util.xgboost", "ray.data.examples"),
    *("ray.train.examples", "ray.train.v2.examples", "ray.tune.examples", "ray.experimental.sandbox"),
    *("ray.train.horovod", "ray.tune.automl", "ray.tests", "ray.internal"),
)
_REMOVED = ("workflow",)
_PLAIN = (int, float, str, bool, type(None))


def area_of(name: str) -> str:
    """The file that a name belongs to."""
    part = name.split(".")[1] if "." in name else ""
    return "tune" if part == "air" else part if part in AREAS else "core"


def render(name: str, value: Any) -> str:
    """One line about a public object, whatever it is."""
    if inspect.isclass(value) or not callable(value):
        found = _signature(value) if inspect.isclass(value) and not issubclass(value, enum.Enum) else None
    else:
        found = _signature(value)
    return name if found is None else f"{name}({found})"


class _Dots:
    """Stands for a default that is no plain value."""

    def __repr__(self) -> str:
        return "..."


def _signature(value: Any) -> str | None:
    """The parameters of a callable without annotations, as between parentheses; None if it tells none."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return None
    bare = []
    for parameter in signature.parameters.values():
        default = parameter.default
        known = default is parameter.empty or type(default) in _PLAIN
        bare.append(parameter.replace(annotation=parameter.empty, default=default if known else _Dots()))
    return str(inspect.Signature(bare))[1:-1]


def members(cls: type) -> dict[str, Any]:
    """The public attributes of a class that it or its bases in the same package define."""
    package = cls.__module__.partition(".")[0]
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.partition(".")[0] == package:
            found.update({name: getattr(cls, name, None) for name in vars(base) if not name.startswith("_")})
            found.update(
                dict.fromkeys(name for name in getattr(base, "__dataclass_fields__", ()) if name[0] != "_")
            )
    return found


def public(module: types.ModuleType) -> list[str]:
    """The names that a module exports, or has marked as public."""
    marked = [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and getattr(value, "_annotated", None) == getattr(value, "__name__", "")
        and str(getattr(value, "_annotated_type", "")).rpartition(".")[2] in ("PUBLIC_API", "DEVELOPER_API")
    ]
    names = {*getattr(module, "__all__", ()), *marked}
    return sorted(
        name for name in names if not name.startswith("_") and name not in _REMOVED and hasattr(module, name)
    )


def modules() -> list[types.ModuleType]:
    """Every module of Ray's that can be imported here, parents first."""
    found = [importlib.import_module("ray")]
    failed: list[str] = []
    for each in pkgutil.walk_packages(found[0].__path__, "ray.", onerror=failed.append):
        if each.name.startswith(_LEFT_OUT) or "._" in each.name or ".tests" in each.name:
            continue
        try:
            found.append(importlib.import_module(each.name))
        except (ImportError, DeprecationWarning) as error:
            failed.append(f"{each.name}: {error}")
    for line in failed:
        if not line.startswith(_LEFT_OUT) and "._" not in line:
            print("left out", line.replace("\n", " ")[:150], file=sys.stderr)
    return sorted(found, key=lambda module: (module.__name__.count("."), module.__name__))


def lines() -> list[str]:
    """All lines."""
    first: dict[int, str] = {}
    out: list[str] = []
    for module in modules():
        for name in public(module):
            value, full = getattr(module, name), f"{module.__name__}.{name}"
            if isinstance(value, types.ModuleType):
                continue
            home = getattr(value, "__module__", None) or ""
            if not home.startswith("ray") or isinstance(value, typing.TypeVar):
                out.append(full)
                continue
            if id(value) in first:
                out.append(f"{full} = {first[id(value)]}")
                continue
            first[id(value)] = full
            out.append(render(full, value))
            if inspect.isclass(value):
                out += [render(f"{full}.{each}", member) for each, member in members(value).items()]
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = lines()
    for area in ("core", *AREAS):
        of_area = [line for line in found if area_of(line.partition("(")[0].partition(" ")[0]) == area]
        (API / f"{area}.txt").write_text("\n".join(sorted(of_area)) + "\n")
