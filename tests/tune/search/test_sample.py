from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skate import tune
from skate.tune.search.sample import Categorical, Domain, Float, Integer, Quantized

DRAWN = {
    "uniform": (tune.uniform(-1, 5), 2.304787415447453),
    "quniform": (tune.quniform(0, 10, 0.5), 5.5),
    "loguniform": (tune.loguniform(1e-4, 1e-1), 0.004491523825138),
    "qloguniform": (tune.qloguniform(1e-4, 1e-1, 5e-5), 0.0045),
    "randn": (tune.randn(1, 2), 4.577256946860637),
    "qrandn": (tune.qrandn(1, 2, 0.2), 4.6),
    "randint": (tune.randint(0, 9), 8),
    "qrandint": (tune.qrandint(0, 20, 4), 8),
    "lograndint": (tune.lograndint(1, 100), 12),
    "qlograndint": (tune.qlograndint(8, 128, 8), 32),
    "choice": (tune.choice(["a", "b", "c"]), "c"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_seed_gives_the_values_that_it_gives_in_ray(name: str) -> None:
    domain, expected = DRAWN[name]
    drawn = domain.sample(random_state=np.random.RandomState(3))
    assert drawn == pytest.approx(expected) if isinstance(expected, float) else drawn == expected
    assert type(drawn) is type(expected)


@pytest.mark.parametrize("name", DRAWN)
def test_generators_of_either_kind_and_the_global_one(name: str) -> None:
    domain, _ = DRAWN[name]
    assert list(domain.sample(size=3, random_state=np.random.default_rng(1))) == list(
        domain.sample(size=3, random_state=1)
    )
    np.random.seed(5)
    first = domain.sample(size=3)
    np.random.seed(5)
    assert list(domain.sample(size=3)) == list(first)


def test_multiples_of_integers_include_the_last() -> None:
    assert set(tune.qrandint(0, 8, 4).sample(size=200, random_state=1)) == {0, 4, 8}
    assert set(tune.qlograndint(8, 24, 8).sample(size=200, random_state=1)) == {8, 16, 24}
    assert set(tune.qrandint(1, 4, 1).sample(size=200, random_state=1)) == {1, 2, 3}


@given(st.floats(-100, 100), st.floats(0.1, 100), st.integers(0, 2**31))
def test_draws_stay_between_the_bounds(lower: float, width: float, seed: int) -> None:
    for domain in (
        Float(lower, lower + width).uniform(),
        Float(abs(lower) + 0.1, abs(lower) + width + 0.2).loguniform(),
    ):
        assert domain.is_valid(domain.sample(random_state=seed))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: tune.loguniform(-1, 1), ValueError, "lower bound greater than 0"),
        (lambda: tune.lograndint(0, 10), ValueError, "lower bound greater than 0"),
        (lambda: tune.quniform(0, 1, 0.3), ValueError, "not divisible by quantization factor 0.3"),
        (lambda: tune.choice([1]).uniform(), ValueError, "only choose one sampler"),
        (lambda: Float(None, 1).uniform(), ValueError, "requires a lower bound"),
        (lambda: tune.sample_from(5), TypeError, "not a callable"),  # type: ignore[arg-type]
        (lambda: tune.randn(0, 0), ValueError, "above 0"),
        (lambda: Categorical([1]).grid().sample(), RuntimeError, "on grid"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_domains_say_what_they_are() -> None:
    domains: list[Domain] = [tune.uniform(0, 1), tune.randint(0, 9), tune.choice(["a"]), tune.randn()]
    assert [domain.domain_str for domain in domains] == ["(0, 1)", "(0, 9)", "['a']", "(-inf, inf)"]
    assert str(tune.uniform(0, 1).get_sampler()) == "Uniform"
    assert isinstance(tune.quniform(0, 1, 0.5).get_sampler(), Quantized)
    assert tune.choice(["a"]).is_valid("a") and not tune.choice(["a"]).is_valid("b")
    assert Integer(0, 5).sample(random_state=4) == 3 and tune.sample_from(lambda: 3).is_function()
