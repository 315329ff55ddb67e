"""Every public name of Ray's is there and takes what Ray's takes, or docs/compatibility.md says why not."""

from __future__ import annotations

import pytest

from tests.compat import names
from tests.compat.record import AREAS

_BRING_UP_TO_DATE = "run `python -m tests.compat.names` to bring docs/compatibility.md up to date"


@pytest.mark.parametrize("area", ["core", *AREAS])
def test_every_missing_name_stands_on_the_page(area: str) -> None:
    page = names.PAGE.read_text()
    part = page.partition(f"<!-- begin: {area} -->")[2].partition("<!-- end")[0]
    rows = dict(line.strip("| ").split(" | ", 1) for line in part.splitlines() if line.startswith("| `"))
    absent = [name for name in names.missing(area) if not names.listed(name, "left_out.txt")]
    for name in absent:
        parent, _, last = name.rpartition(".")
        assert f"`{last}`" in rows.get(f"`{parent}`", "").split(", "), (
            f"{name} is missing: {_BRING_UP_TO_DATE}"
        )


def test_the_page_lists_what_is_left_out() -> None:
    assert names.left_out() in names.PAGE.read_text(), _BRING_UP_TO_DATE


def test_what_is_left_out_is_missing() -> None:
    absent = {name for area in ("core", *AREAS) for name in names.missing(area)}
    for patterns in names.reasons("left_out.txt").values():
        for pattern in patterns:
            held = {name for name in absent if names.fnmatch.fnmatchcase(name, pattern)}
            assert held, f"{pattern} holds for no name that is missing: take it out of left_out.txt"


def test_core_callables_take_what_rays_take() -> None:
    assert names.differences("core") == {}


@pytest.mark.parametrize(
    ("theirs", "ours", "says"),
    [
        ("a, b=1", lambda a, b=1: None, None),
        ("a, b=1", lambda a, b=1, c=2: None, None),
        ("a, b=1", lambda a, b=1, *, c: None, "needs 'c'"),
        ("a, b=1", lambda a, c, b=1: None, "place 2 is 'c', not 'b'"),
        ("a, b=1", lambda a: None, "takes no 'b' in place 2"),
        ("a, b=1", lambda a, b: None, "'b' has no default"),
        ("a, b=1", lambda a, b=2: None, "b=2, not 1"),
        ("a, b=...", lambda a, b=2: None, None),
        ("a, *, b=1", lambda a, b=1: None, None),
        ("a, *, b=1", lambda a: None, "takes no 'b'"),
        ("a, *, b=1", lambda a, **more: None, None),
        ("a, **more", lambda a: None, "takes no **more"),
        ("a, /", lambda other: None, None),
        ("*args, **kwargs", lambda a, b, **more: None, None),
        ("a, _private=1", lambda a: None, None),
    ],
)
def test_parameters_are_compared_as_a_caller_would_meet_them(
    theirs: str, ours: object, says: str | None
) -> None:
    assert callable(ours)
    parameters = list(names.inspect.signature(ours).parameters.values())
    assert names.compare(theirs, parameters) == says


def test_a_name_that_is_not_there_is_missing() -> None:
    with pytest.raises(names.Missing):
        names.resolve("ray.util.ActorPool.no_such_method")
    with pytest.raises(names.Missing):
        names.resolve("ray.no_such_module.name")
    assert names.resolve("ray.util.ActorPool.map").__qualname__ == "ActorPool.map"
