"""Compare Skate with what is written down of Ray's public API, and keep the page about it true.

python -m tests.compat.names                  write the tables of docs/compatibility.md
python -m tests.compat.names ray.data …       print what is missing or differs under these names
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import skate
from tests.compat.record import API, AREAS, area_of
from tests.support import REPO

PAGE = REPO / "docs" / "compatibility.md"
HERE = Path(__file__).parent
_BEGIN, _END = "<!-- begin: {} -->", "<!-- end: {} -->"


class Entry(NamedTuple):
    """A line of what is written down."""

    name: str
    same_as: str | None
    parameters: str | None


class Missing(Exception):
    """A name that Skate does not have."""


class NotInstalled(Exception):
    """A name that is there, but needs an extra that this environment lacks: nothing can be said of it."""


def entries(area: str) -> list[Entry]:
    """Everything written down about an area: "core" or one of the libraries."""
    found = []
    for line in (API / f"{area}.txt").read_text().splitlines():
        match = re.fullmatch(r"([\w.]+)(?: = ([\w.]+)|\((.*)\))?", line)
        assert match, line
        found.append(Entry(*match.groups()))
    return found


def documented(area: str) -> list[str]:
    """The names that Ray's API reference lists for an area."""
    lines = (HERE / "documented.txt").read_text().splitlines()
    return [name for of, name in (line.split() for line in lines) if of == area]


@functools.cache
def _module(name: str) -> Any:
    """A module of Skate by Ray's name, or None."""
    own = "skate" + name.removeprefix("ray")
    try:
        return importlib.import_module(own)
    except ModuleNotFoundError as error:
        # Ours is missing; a missing module of somebody else's is an extra that is not installed.
        if not _is_ours(error):
            raise
        return None
    except ImportError as error:
        if 'pip install "skate[' in str(error):
            raise NotInstalled(str(error)) from error
        raise


def _is_ours(error: ModuleNotFoundError) -> bool:
    return error.name is not None and error.name.startswith("skate")


def resolve(name: str) -> Any:
    """What Skate has under Ray's dotted name.

    Raises:
        Missing: nothing.
        NotInstalled: it needs an extra that is not installed.
    """
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        module = _module(".".join(parts[:count])) if count < len(parts) or count == 1 else None
        if module is None:
            continue
        value: Any = module
        for at, part in enumerate(parts[count:], count):
            fields = getattr(value, "__dataclass_fields__", {})
            if part in fields and not hasattr(value, part):
                return fields[part]
            try:
                value = getattr(value, part)
            except ModuleNotFoundError as error:  # a package promises a submodule that is still to come
                if not _is_ours(error):
                    raise
                break
            except AttributeError:
                annotated = inspect.isclass(value) and any(
                    part in vars(c).get("__annotations__", ()) for c in value.__mro__
                )
                if annotated and at == len(parts) - 1:
                    return None
                break
        else:
            return value
    module = _module(name)
    if module is None:
        raise Missing(name)
    return module


def difference(entry: Entry) -> str | None:
    """In which way Skate's object of that name differs, in words; None if a call written for Ray's fits it.

    Raises:
        Missing: there is none.
    """
    ours = resolve(entry.name)
    if entry.same_as is not None:
        try:
            return None if resolve(entry.same_as) is ours else f"not the same object as {entry.same_as}"
        except Missing:
            return None  # stated on its own line
    if entry.parameters is None or not callable(ours):
        return None if entry.parameters is None else "not callable"
    try:
        own = inspect.signature(ours).parameters
    except (TypeError, ValueError):
        return None
    return compare(entry.parameters, list(own.values()))


def compare(theirs: str, ours: list[inspect.Parameter]) -> str | None:
    arguments = ast.parse(f"def f({theirs.replace('=...', '=Ellipsis')}): ...").body[0]
    assert isinstance(arguments, ast.FunctionDef)
    given = arguments.args
    by_name = {parameter.name: parameter for parameter in ours}
    empty = inspect.Parameter.empty
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in ours)
    takes_more = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in ours)
    positional = [*given.posonlyargs, *given.args]
    defaults: dict[str, Any] = {}
    for argument, default in zip(positional[::-1], given.defaults[::-1], strict=False):
        defaults[argument.arg] = _default(default)
    for argument, keyword_default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        if keyword_default is not None:
            defaults[argument.arg] = _default(keyword_default)
    own_positional = [p for p in ours if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for at, argument in enumerate(positional):
        if argument.arg.startswith("_"):
            break  # private, and with it the place of what follows
        if at >= len(own_positional):
            if takes_more:
                continue
            return f"takes no {argument.arg!r} in place {at + 1}"
        if own_positional[at].name != argument.arg and argument not in given.posonlyargs:
            return f"place {at + 1} is {own_positional[at].name!r}, not {argument.arg!r}"
    for argument in (*positional, *given.kwonlyargs):
        name = argument.arg
        if name.startswith("_") or argument in given.posonlyargs:
            continue
        if name not in by_name:
            if takes_any:
                continue
            return f"takes no {name!r}"
        own_default = by_name[name].default
        if name in defaults and own_default is empty:
            return f"{name!r} has no default"
        if (
            name in defaults
            and defaults[name] is not ...
            and _is_plain(own_default)
            and own_default != defaults[name]
        ):
            return f"{name}={own_default!r}, not {defaults[name]!r}"
    known = {argument.arg for argument in (*positional, *given.kwonlyargs)}
    known.update(parameter.name for parameter in own_positional[: len(given.posonlyargs)])
    needs = (p for p in ours if p.default is empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    if given.vararg is None and given.kwarg is None:
        for parameter in needs:
            if parameter.name not in known and not parameter.name.startswith("_"):
                return f"needs {parameter.name!r}"
    if given.kwarg is not None and not takes_any:
        return f"takes no **{given.kwarg.arg}"
    return None


def _default(node: ast.expr) -> Any:
    return ... if isinstance(node, ast.Name) else ast.literal_eval(node)


def _is_plain(value: Any) -> bool:
    """Whether a default is one that callers may rely on: a sentence is not."""
    return value is None or type(value) in (int, float, bool) or (type(value) is str and " " not in value)


def reasons(file: str) -> dict[str, list[str]]:
    """Reasons with the patterns of names that each holds for, from a file beside this one."""
    found: dict[str, list[str]] = {}
    reason = ""
    for line in (HERE / file).read_text().splitlines():
        if line.startswith("    "):
            found[reason] += line.split()
        elif line and not line.startswith("#"):
            reason = line
            found[reason] = []
    return found


def listed(name: str, file: str) -> bool:
    """Whether a file of reasons holds for a name."""
    return any(fnmatch.fnmatchcase(name, each) for patterns in reasons(file).values() for each in patterns)


def missing(area: str) -> list[str]:
    """The names of an area that Skate does not have; of a class that it does not have, the class alone."""
    out: list[str] = []
    for name in sorted({*documented(area), *(entry.name for entry in entries(area))}):
        if out and name.startswith(f"{out[-1]}."):
            continue
        try:
            resolve(name)
        except Missing:
            out.append(name)
        except NotInstalled:
            continue
    return out


def differences(area: str) -> dict[str, str]:
    """The names of an area that Skate has, with in what they differ; those left out that are not missing, too."""
    out: dict[str, str] = {}
    for entry in entries(area):
        try:
            found = difference(entry)
        except (Missing, NotInstalled):
            continue
        if found is not None and not listed(entry.name, "differences.txt"):
            out[entry.name] = found
    return out


def table(area: str) -> str:
    """The names of an area that are not there yet as a Markdown table, a row a module or class."""
    rows: dict[str, list[str]] = {}
    for name in missing(area):
        if not listed(name, "left_out.txt"):
            parent, _, last = name.rpartition(".")
            rows.setdefault(parent, []).append(f"`{last}`")
    if not rows:
        return "Nothing is missing.\n"
    body = "".join(f"| `{parent}` | {', '.join(names)} |\n" for parent, names in sorted(rows.items()))
    return f"| in | missing |\n|---|---|\n{body}"


def left_out() -> str:
    """The names that will not come as a Markdown table, a row a reason."""
    rows = reasons("left_out.txt").items()
    body = "".join(f"| {', '.join(f'`{name}`' for name in names)} | {why} |\n" for why, names in rows)
    return f"| names | why |\n|---|---|\n{body}"


def page() -> str:
    """The page as it should be."""
    text = PAGE.read_text()
    for part, content in {**{area: table(area) for area in ("core", *AREAS)}, "left out": left_out()}.items():
        begin, end = _BEGIN.format(part), _END.format(part)
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"{PAGE} has no lines {begin} and {end}.")
        text = f"{before}{begin}\n\n{content}\n{end}{after}"
    return text


def main(names: list[str]) -> None:
    """Print what is missing or differs under some names, or bring the page up to date."""
    if not names:
        PAGE.write_text(page())
        return
    for area in sorted({area_of(name) for name in names} | ({"core", *AREAS} if "ray" in names else set())):
        lines = {**dict.fromkeys(missing(area), "missing"), **differences(area)}
        for name, what in sorted(lines.items()):
            if any(name == each or name.startswith(f"{each}.") for each in names):
                print(f"{name}: {what}")


if __name__ == "__main__":
    assert skate.__file__ is not None
    main(sys.argv[1:])
