"""How population-based training changes parameters. Functions of their arguments and Python's random numbers."""

from __future__ import annotations

import copy
import numbers
import random
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from skate.tune.search.sample import Categorical, Domain

__all__ = [
    "Mutations",
    "draw",
    "explore",
    "fill_in",
    "format_changes",
]

Mutations: TypeAlias = Mapping[str, Any]
"""For each parameter that changes: a list of values, a domain, a function that draws one, or a mapping of these."""


def explore(
    config: dict[str, Any],
    mutations: Mutations,
    resample_probability: float,
    perturbation_factors: tuple[float, float],
    custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Change parameters a little.

    Args:
        config: The parameters, which stay as they are.
        mutations: Which of them change, and how each is drawn anew.
        resample_probability: How likely one is drawn anew.
        perturbation_factors: By one of these a number is multiplied that is not.
        custom_explore_fn: Called with the new parameters; returns them changed.

    Returns:
        The new parameters; and for each that changed how it came about.

    Raises:
        ValueError: the custom function returned nothing.
    """
    new: dict[str, Any] = copy.deepcopy(config)
    how: dict[str, Any] = {}
    for name, mutation in mutations.items():
        if isinstance(mutation, Mapping):
            new[name], how[name] = explore(config[name], mutation, resample_probability, perturbation_factors)
        elif isinstance(mutation, list | tuple):
            new[name], how[name] = _other_value(config.get(name), list(mutation), resample_probability)
        elif isinstance(mutation, Categorical) and not all(map(_is_number, mutation.categories)):
            # What is no number can't be multiplied.
            new[name], how[name] = _other_value(config.get(name), mutation.categories, resample_probability)
        else:
            new[name], how[name] = _scaled(config[name], mutation, resample_probability, perturbation_factors)
    if custom_explore_fn is not None:
        changed = custom_explore_fn(new)
        if changed is None:
            raise ValueError(
                "Custom explore fn failed to return new config: it must return the changed parameters."
            )
        new = changed
    return new, how


def _scaled(
    value: Any, mutation: Any, resample_probability: float, factors: tuple[float, float]
) -> tuple[Any, str]:
    """A value of the same type: drawn anew, or multiplied. A bool can only be drawn."""
    if random.random() < resample_probability:
        new, how = draw(mutation), "resample"
    elif isinstance(value, bool):
        new, how = value, "noop"
    elif not _is_number(value):
        raise TypeError(
            f"{value!r} is no number, and can't be multiplied by one of {factors}: name the values in a list, or pass "
            "resample_probability=1."
        )
    else:
        factor = random.choice(factors)
        new, how = value * factor, f"* {factor}"
    if isinstance(value, bool):
        return bool(new), how
    return (round(new) if isinstance(value, numbers.Integral) else new), how


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real)


def _other_value(value: Any, values: list[Any], resample_probability: float) -> tuple[Any, str]:
    """A value from a list: any, or a neighbour of the present one."""
    if random.random() < resample_probability or value not in values:
        return random.choice(values), "resample"
    step = random.choice((-1, 1))
    place = min(max(values.index(value) + step, 0), len(values) - 1)
    kind = "left" if step < 0 else "right"
    return values[place], f"shift {kind}" if values[place] != value else f"shift {kind} (noop)"


def draw(mutation: Any) -> Any:
    """A value from a domain, a list, or a function."""
    if isinstance(mutation, Domain):
        return mutation.sample()
    if isinstance(mutation, list | tuple):
        return random.choice(mutation)
    return mutation()


def fill_in(config: dict[str, Any], mutations: Mutations, prefix: str = "") -> dict[str, Any]:
    """Draw the parameters that a configuration lacks.

    Args:
        config: The configuration, which is changed.
        mutations: The parameters that it must have.
        prefix: Their path, for the result.

    Returns:
        What has been drawn, by path.
    """
    drawn: dict[str, Any] = {}
    for name, mutation in mutations.items():
        if isinstance(mutation, Mapping):
            drawn.update(fill_in(config.setdefault(name, {}), mutation, f"{prefix}{name}/"))
        elif name not in config:
            config[name] = drawn[f"{prefix}{name}"] = draw(mutation)
    return drawn


def format_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], mutations: Mutations, how: Mapping[str, Any]
) -> str:
    """What changed, in a line."""
    parts = []
    for name, mutation in mutations.items():
        if isinstance(mutation, Mapping):
            parts.append(f"{name}: ({format_changes(old[name], new[name], mutation, how.get(name, {}))})")
        else:
            parts.append(f"{name}: {old.get(name)} ({how.get(name)}) -> {new.get(name)}")
    return ", ".join(parts)
