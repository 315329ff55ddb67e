"""The values a parameter may take, and how one is drawn.

A `Domain` says which values there are; a `Sampler` says how likely each is. `uniform(0, 1)` and its kin make both.
Draws use NumPy's generators in Ray's order, so that a seed gives the same values.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, TypeAlias, TypeVar, get_type_hints

from skate.tune.error import ArgumentError

__all__ = [
    "BaseSampler",
    "Categorical",
    "Domain",
    "Float",
    "Function",
    "Grid",
    "Integer",
    "LogUniform",
    "Normal",
    "Quantized",
    "RandomState",
    "Rng",
    "Sampler",
    "Uniform",
    "choice",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "sample_from",
    "uniform",
]

RandomState: TypeAlias = Any
"""A seed, or a `RandomState` or `Generator` of NumPy's; None is NumPy's global generator."""

_MISSING: Any = object()
_D = TypeVar("_D", bound="Domain")


class Rng:
    """One interface to NumPy's two kinds of generators, and to its global one.

    Args:
        source: A seed, a `RandomState` or a `Generator`; None: NumPy's global generator.
    """

    def __init__(self, source: Any = None) -> None:
        import numpy as np

        if isinstance(source, Rng):
            source = source.source
        elif isinstance(source, int | np.integer):
            source = np.random.default_rng(int(source))
        self.source: Any = np.random if source is None else source
        self._draw_integers = getattr(self.source, "integers", None) or self.source.randint

    def integers(self, low: int, high: int, size: int) -> Any:
        """Integers from `low` up to but without `high`."""
        return self._draw_integers(low, high, size=size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def __reduce__(self) -> tuple[Any, ...]:
        import numpy as np

        return (Rng, (None if self.source is np.random else self.source,))


_BackwardsCompatibleNumpyRng = Rng
"""The name by which FLAML makes one."""


class Sampler:
    """How a value of a domain is drawn."""

    def sample(
        self,
        domain: Domain,
        config: dict[str, Any] | list[dict[str, Any]] | None = None,
        size: int = 1,
        random_state: RandomState = None,
    ) -> Any:
        """Draw values.

        Args:
            domain: Where they come from.
            config: For functions: what they are given; a list gives one for each value.
            size: How many.
            random_state: A seed or a generator of NumPy's; None: its global one.

        Returns:
            The value, or a list or array of `size` of them if it is not 1.
        """
        raise NotImplementedError


class BaseSampler(Sampler):
    """Where a sampler begins that has no distribution of its own."""

    def __str__(self) -> str:
        return "Base"


class Uniform(Sampler):
    """Every value is equally likely."""

    def __str__(self) -> str:
        return "Uniform"


class LogUniform(Sampler):
    """Every order of magnitude is equally likely.

    Args:
        base: Has no effect: a logarithm's base does not change what is drawn.
    """

    def __init__(self, base: float = _MISSING) -> None:
        self.base = 10 if base is _MISSING else base
        if not self.base > 0:
            raise ValueError(f"Base has to be strictly greater than 0, not {base!r}.")

    def __str__(self) -> str:
        return "LogUniform"


class Normal(Sampler):
    """Values lie around a mean.

    Args:
        mean: The mean.
        sd: The standard deviation, above zero.
    """

    def __init__(self, mean: float = 0.0, sd: float = 0.0) -> None:
        if not sd > 0:
            raise ArgumentError(
                f"SD has to be strictly greater than 0: the standard deviation of a normal distribution must be above 0, not {sd!r}."
            )
        self.mean = mean
        self.sd = sd

    def __str__(self) -> str:
        return "Normal"


class Grid(Sampler):
    """Every category in turn; the variant generator sees to it."""

    def sample(
        self,
        domain: Domain,
        config: dict[str, Any] | list[dict[str, Any]] | None = None,
        size: int = 1,
        random_state: RandomState = None,
    ) -> Any:
        """Refuse: a grid is not sampled from."""
        raise RuntimeError("Do not call `sample()` on grid.")


class Domain:
    """The values that a parameter may take."""

    sampler: Sampler | None = None
    default_sampler_cls: type[Sampler] | None = None

    def cast(self, value: Any) -> Any:
        """Make a drawn value one of the domain's type."""
        return value

    def set_sampler(self, sampler: Sampler, allow_override: bool = False) -> None:
        """Choose how values are drawn.

        Args:
            sampler: The way.
            allow_override: Whether it may replace one that is there.

        Raises:
            ValueError: there is one already.
        """
        if self.sampler and not allow_override:
            raise ValueError(
                f"You can only choose one sampler for parameter domains. Existing sampler for parameter "
                f"{type(self).__name__}: {self.sampler}. Tried to add {sampler}"
            )
        self.sampler = sampler

    def get_sampler(self) -> Sampler:
        """How values are drawn."""
        if self.sampler is None:
            assert self.default_sampler_cls is not None, "a domain names its default sampler"
            return self.default_sampler_cls()
        return self.sampler

    def sample(
        self,
        config: dict[str, Any] | list[dict[str, Any]] | None = None,
        size: int = 1,
        random_state: RandomState = None,
    ) -> Any:
        """Draw values.

        Args:
            config: For functions: what they are given.
            size: How many.
            random_state: A seed or a generator of NumPy's; None: its global one.

        Returns:
            The value, or a list or array of `size` of them if it is not 1.
        """
        return self.get_sampler().sample(self, config=config, size=size, random_state=random_state)

    def is_grid(self) -> bool:
        """Whether every value is tried in turn."""
        return isinstance(self.sampler, Grid)

    def is_function(self) -> bool:
        """Whether values come from a function."""
        return False

    def is_valid(self, value: Any) -> bool:
        """Whether a value is one of the domain."""
        raise NotImplementedError

    @property
    def domain_str(self) -> str:
        """The values, in a few characters."""
        return "(unknown)"


def _unwrap(domain: Domain, values: Any) -> Any:
    return domain.cast(values[0]) if len(values) == 1 else values


class Float(Domain):
    """Real numbers from `lower` to `upper`.

    Args:
        lower: The least; None: without end.
        upper: The greatest; None: without end.
    """

    class _Uniform(Uniform):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            assert isinstance(domain, Float)
            assert domain.lower > float("-inf"), "Uniform needs a lower bound"
            assert domain.upper < float("inf"), "Uniform needs an upper bound"
            return _unwrap(domain, Rng(random_state).uniform(domain.lower, domain.upper, size=size))

    class _LogUniform(LogUniform):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            assert isinstance(domain, Float)
            return _unwrap(domain, _log_uniform(domain, size, random_state))

    class _Normal(Normal):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            assert isinstance(domain, Float)
            return _unwrap(domain, Rng(random_state).normal(self.mean, self.sd, size=size))

    default_sampler_cls = _Uniform

    def __init__(self, lower: float | None, upper: float | None) -> None:
        self.lower = float("-inf") if lower is None else lower
        self.upper = float("inf") if upper is None else upper

    def cast(self, value: Any) -> float:
        """Make a drawn value a float."""
        return float(value)

    def uniform(self) -> Float:
        """The same numbers, each as likely as any other.

        Raises:
            ValueError: there is no end on one side.
        """
        _need_bounds("Uniform", self)
        return _with_sampler(self, self._Uniform())

    def loguniform(self, base: float = _MISSING) -> Float:
        """The same numbers, every order of magnitude as likely as any other.

        Raises:
            ValueError: a bound is missing, or not above zero.
        """
        _need_positive_bounds(self)
        return _with_sampler(self, self._LogUniform(base))

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> Float:
        """Numbers around a mean."""
        return _with_sampler(self, self._Normal(mean, sd))

    def quantized(self, q: float) -> Float:
        """The same, rounded to multiples of `q`.

        Raises:
            ValueError: a bound is not a multiple of `q`.
        """
        for side, bound in (("lower", self.lower), ("upper", self.upper)):
            if math.isfinite(bound) and not _is_multiple(bound, q):
                raise ValueError(
                    f"Your {side} variable bound {bound} is not divisible by quantization factor {q}."
                )
        return _with_sampler(self, Quantized(self.get_sampler(), q), override=True)

    def is_valid(self, value: float) -> bool:
        """Whether a number lies between the bounds."""
        return bool(self.lower <= value <= self.upper)

    @property
    def domain_str(self) -> str:
        """The bounds."""
        return f"({self.lower}, {self.upper})"


class Integer(Domain):
    """Whole numbers from `lower` up to but without `upper`.

    Args:
        lower: The least.
        upper: One above the greatest.
    """

    class _Uniform(Uniform):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            assert isinstance(domain, Integer)
            return _unwrap(domain, Rng(random_state).integers(domain.lower, domain.upper, size=size))

    class _LogUniform(LogUniform):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            import numpy as np

            assert isinstance(domain, Integer)
            values = np.floor(_log_uniform(domain, size, random_state)).astype(int)
            return _unwrap(domain, values)

    default_sampler_cls = _Uniform

    def __init__(self, lower: int, upper: int) -> None:
        self.lower = lower
        self.upper = upper

    def cast(self, value: Any) -> int:
        """Make a drawn value an int."""
        return int(value)

    def uniform(self) -> Integer:
        """The same numbers, each as likely as any other."""
        return _with_sampler(self, self._Uniform())

    def loguniform(self, base: float = _MISSING) -> Integer:
        """The same numbers, every order of magnitude as likely as any other.

        Raises:
            ValueError: a bound is not above zero.
        """
        _need_positive_bounds(self)
        return _with_sampler(self, self._LogUniform(base))

    def quantized(self, q: int) -> Integer:
        """The same, rounded to multiples of `q`; `upper` itself may now be drawn."""
        return _with_sampler(self, Quantized(self.get_sampler(), q), override=True)

    def is_valid(self, value: int) -> bool:
        """Whether a number lies between the bounds."""
        return self.lower <= value <= self.upper

    @property
    def domain_str(self) -> str:
        """The bounds."""
        return f"({self.lower}, {self.upper})"


class Categorical(Domain):
    """One of several values.

    Args:
        categories: The values.
    """

    class _Uniform(Uniform):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            import numpy as np

            assert isinstance(domain, Categorical)
            chosen = Rng(random_state).choice(np.arange(0, len(domain.categories)), size=size)
            return _unwrap(domain, [domain.categories[index] for index in chosen])

    default_sampler_cls = _Uniform

    def __init__(self, categories: Sequence[Any]) -> None:
        self.categories = list(categories)

    def uniform(self) -> Categorical:
        """The same values, each as likely as any other."""
        return _with_sampler(self, self._Uniform())

    def grid(self) -> Categorical:
        """The same values, every one tried in turn."""
        return _with_sampler(self, Grid())

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, item: int) -> Any:
        return self.categories[item]

    def is_valid(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.categories

    @property
    def domain_str(self) -> str:
        """The values."""
        return f"{self.categories}"


class Function(Domain):
    """What a function returns.

    Args:
        func: Called with nothing, or with the other parameters.

    Raises:
        TypeError: it can't be called.
    """

    class _CallSampler(BaseSampler):
        def sample(
            self, domain: Domain, config: Any = None, size: int = 1, random_state: RandomState = None
        ) -> Any:
            assert isinstance(domain, Function)
            if not domain.pass_config:
                return _unwrap(domain, [domain.func() for _ in range(size)])
            configs = config if isinstance(config, list) else [config] * size
            return _unwrap(domain, [domain.func(one) for one in configs])

    default_sampler_cls = _CallSampler

    def __init__(self, func: Callable[..., Any]) -> None:
        if not callable(func):
            raise TypeError(
                f"{func!r} is not a callable object: a parameter's function is called for its value."
            )
        self.func = func
        self.pass_config = _takes_an_argument(func)

    def is_function(self) -> bool:
        """Yes."""
        return True

    def is_valid(self, value: Any) -> bool:
        """Whatever it returns."""
        return True

    @property
    def domain_str(self) -> str:
        """The function."""
        return f"{self.func}()"


# FLAML asks at run time which type a domain's values have: of these the types, not their names.
for _domain in (Float, Integer, Categorical, Function):
    _domain.is_valid.__annotations__ = get_type_hints(_domain.is_valid)


class Quantized(Sampler):
    """Rounds what another sampler draws to multiples of `q`.

    Args:
        sampler: The other.
        q: The step.
    """

    def __init__(self, sampler: Sampler, q: float) -> None:
        self.sampler = sampler
        self.q = q
        if not self.sampler:
            raise ValueError("Quantized() expects a sampler instance")

    def get_sampler(self) -> Sampler:
        """The other sampler."""
        return self.sampler

    def sample(
        self,
        domain: Domain,
        config: dict[str, Any] | list[dict[str, Any]] | None = None,
        size: int = 1,
        random_state: RandomState = None,
    ) -> Any:
        """Draw, and round."""
        import numpy as np

        if self.q == 1:
            return self.sampler.sample(domain, config, size, random_state=random_state)
        inside: Any = copy(domain)
        if isinstance(domain, Integer):
            # Multiples are drawn by their number, so that each is as likely as any other, the last one too.
            inside.lower = math.ceil(domain.lower / self.q)
            inside.upper = math.floor(domain.upper / self.q) + 1
            values = np.atleast_1d(self.sampler.sample(inside, config, size, random_state=random_state))
            rounded = [domain.cast(value) for value in values * self.q]
        else:
            inside.lower = np.ceil(inside.lower / self.q) * self.q
            inside.upper = np.floor(inside.upper / self.q) * self.q
            values = np.atleast_1d(self.sampler.sample(inside, config, size, random_state=random_state))
            rounded = [domain.cast(value) for value in np.round(np.divide(values, self.q)) * self.q]
        return rounded[0] if size == 1 else rounded


def _log_uniform(domain: Float | Integer, size: int, random_state: RandomState) -> Any:
    import numpy as np

    assert 0 < domain.lower < float("inf"), "LogUniform needs a lower bound above 0"
    assert 0 < domain.upper < float("inf"), "LogUniform needs an upper bound above 0"
    return np.exp(Rng(random_state).uniform(np.log(domain.lower), np.log(domain.upper), size=size))


def _with_sampler(domain: _D, sampler: Sampler, override: bool = False) -> _D:
    new = copy(domain)
    new.set_sampler(sampler, allow_override=override)
    return new


def _need_bounds(name: str, domain: Float | Integer) -> None:
    for side, bound in (("lower", domain.lower), ("upper", domain.upper)):
        if not math.isfinite(bound):
            raise ValueError(
                f"{name} requires a {side} bound. Make sure to set the `{side}` parameter of `{type(domain).__name__}()`."
            )


def _need_positive_bounds(domain: Float | Integer) -> None:
    _need_bounds("LogUniform", domain)
    for side, bound in (("lower", domain.lower), ("upper", domain.upper)):
        if not bound > 0:
            raise ValueError(
                f"LogUniform requires a {side} bound greater than 0.Got: {bound}. Did you pass a variable that has been "
                "log-transformed? If so, pass the non-transformed value instead."
            )


def _is_multiple(bound: float, q: float) -> bool:
    quotient = bound / q
    return math.isclose(quotient, round(quotient), rel_tol=1e-9, abs_tol=1e-9)


def _takes_an_argument(func: Callable[..., Any]) -> bool:
    try:
        return len(inspect.signature(func).parameters) > 0
    except (TypeError, ValueError):  # a built-in without a signature
        return True


def sample_from(func: Callable[..., Any]) -> Function:
    """A value that a function returns.

    Args:
        func: Called with nothing, or with the experiment's specification, whose `config` holds the other parameters:
            `sample_from(lambda spec: spec.config.alpha ** 2)`.

    Returns:
        The domain.
    """
    return Function(func)


def uniform(lower: float, upper: float) -> Float:
    """A number from `lower` to `upper`, each as likely as any other.

    Args:
        lower: The least.
        upper: The greatest.

    Returns:
        The domain.

    Example:
        >>> 0 <= uniform(0, 1).sample(random_state=1) <= 1
        True
    """
    return Float(lower, upper).uniform()


def quniform(lower: float, upper: float, q: float) -> Float:
    """A multiple of `q` from `lower` to `upper`."""
    return Float(lower, upper).uniform().quantized(q)


def loguniform(lower: float, upper: float, base: float = _MISSING) -> Float:
    """A number from `lower` to `upper`, every order of magnitude as likely as any other.

    Args:
        lower: The least, above zero.
        upper: The greatest.
        base: Has no effect.

    Returns:
        The domain.
    """
    return Float(lower, upper).loguniform(base)


def qloguniform(lower: float, upper: float, q: float, base: float = _MISSING) -> Float:
    """A multiple of `q` from `lower` to `upper`, every order of magnitude as likely as any other."""
    return Float(lower, upper).loguniform(base).quantized(q)


def choice(categories: Sequence[Any]) -> Categorical:
    """One of several values, each as likely as any other.

    Args:
        categories: The values; a value may be a domain, which is then drawn from in turn.

    Returns:
        The domain.
    """
    return Categorical(categories).uniform()


def randint(lower: int, upper: int) -> Integer:
    """A whole number from `lower` up to but without `upper`."""
    return Integer(lower, upper).uniform()


def lograndint(lower: int, upper: int, base: float = _MISSING) -> Integer:
    """A whole number from `lower` up to but without `upper`, every order of magnitude as likely as any other."""
    return Integer(lower, upper).loguniform(base)


def qrandint(lower: int, upper: int, q: int = 1) -> Integer:
    """A multiple of `q` from `lower` to `upper`, both included."""
    return Integer(lower, upper).uniform().quantized(q)


def qlograndint(lower: int, upper: int, q: int, base: float = _MISSING) -> Integer:
    """A multiple of `q` from `lower` to `upper`, both included, every order of magnitude as likely as any other."""
    return Integer(lower, upper).loguniform(base).quantized(q)


def randn(mean: float = 0.0, sd: float = 1.0) -> Float:
    """A number around `mean` with a standard deviation of `sd`."""
    return Float(None, None).normal(mean, sd)


def qrandn(mean: float, sd: float, q: float) -> Float:
    """A multiple of `q` around `mean` with a standard deviation of `sd`."""
    return Float(None, None).normal(mean, sd).quantized(q)
