"""Typical mistakes of a first day: the message names the value, the rule and the next step."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import skate


@pytest.fixture(autouse=True)
def session() -> Iterator[None]:
    skate.shutdown()
    with skate.init(engine="inline"):
        yield


@skate.remote
def scale(table: list[int], by: int = 2) -> int:
    return sum(table) * by


@skate.remote
class Model:
    def __init__(self, size: int) -> None:
        self.size = size

    def fit(self, rows: int) -> int:
        return rows * self.size


def test_get_of_nested_lists_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="Nested lists are not looked into: flatten them"):
        skate.get([[scale.remote([1])], [scale.remote([2])]])


def test_get_of_another_kind_of_collection_says_what_to_do() -> None:
    refs = [scale.remote([1])]
    with pytest.raises(ValueError, match=r"what is in a tuple, make a list of it: get\(list\(…\)\)"):
        skate.get(tuple(refs))
    with pytest.raises(ValueError, match="what is in a generator, make a list of it"):
        skate.get(ref for ref in refs)


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 3], ids=repr)
def test_get_of_a_value_gives_no_false_advice(value: object) -> None:
    with pytest.raises(ValueError, match=r"a list of ObjectRefs\.$"):
        skate.get(value)


def test_arguments_that_do_not_fit_name_the_function_and_what_it_takes() -> None:
    with pytest.raises(TypeError, match=r"^too many positional arguments: .*scale\(table.*, by.*= 2\)"):
        scale.remote([1], 2, 3)
    with pytest.raises(TypeError, match=r"^got an unexpected keyword argument 'times': .*scale\("):
        scale.remote([1], times=3)
    with pytest.raises(TypeError, match=r"^missing a required argument: 'size': .*Model\.__init__\(size"):
        Model.remote()
    with pytest.raises(TypeError, match=r"^missing a required argument: 'rows': .*Model\.fit\(rows"):
        Model.remote(1).fit.remote()


def test_a_misspelt_argument_of_init_is_guessed() -> None:
    skate.shutdown()
    with pytest.raises(RuntimeError, match=r"unknown argument 'num_cpu': did you mean 'num_cpus'\?"):
        skate.init(num_cpu=2)
    assert not skate.is_initialized()


def test_an_unknown_field_of_a_runtime_env_is_mentioned_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "skate"):
        ref = scale.options(runtime_env={"pips": ["x"]}).remote([1])
    assert [record.getMessage() for record in caplog.records] == [
        "runtime_env={'pips': …} has no effect, as there is no such field: did you mean 'pip'?"
    ]
    assert skate.get(ref) == 2
