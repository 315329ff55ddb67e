"""From a search space to configurations: every combination of its grids, with a draw for each of its domains.

A specification is a nested dictionary. In it may stand domains (`uniform(0, 1)`), grids (`grid_search([1, 2])`), and
`{"eval": "expression"}`. Paths into it are tuples of keys.
"""

from __future__ import annotations

import copy
import logging
import random
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from skate.tune.search.sample import Categorical, Domain, Function, RandomState

__all__ = [
    "Path",
    "RecursiveDependencyError",
    "assign_value",
    "count_spec_samples",
    "count_variants",
    "flatten_resolved_vars",
    "format_vars",
    "generate_variants",
    "get_value",
    "grid_search",
    "has_unresolved_values",
    "merge_preset",
    "parse_spec_vars",
]

Path = tuple[Any, ...]

_logger = logging.getLogger(__name__)

_MOST_PASSES = 20
"""Domains whose draws are domains again are drawn from this often; deeper ones are taken for a circle."""


class RecursiveDependencyError(Exception):
    """A parameter's function asks for a parameter that is not known before it."""


def grid_search(values: Iterable[Any]) -> dict[str, Iterable[Any]]:
    """Try every one of several values.

    Args:
        values: The values; each is tried `num_samples` times, with every value of each other grid.

    Returns:
        What stands for the grid in a search space.

    Example:
        >>> grid_search([1, 2])
        {'grid_search': [1, 2]}
    """
    return {"grid_search": values}


def generate_variants(
    unresolved_spec: dict[str, Any],
    constant_grid_search: bool = False,
    random_state: RandomState = None,
) -> Generator[tuple[dict[Path, Any], dict[str, Any]], None, None]:
    """Every combination of the grids in a specification. The first grid changes fastest.

    Args:
        unresolved_spec: The specification.
        constant_grid_search: Draw once and use the same values for each combination, rather than draw for each.
        random_state: A seed or a generator of NumPy's; None: its global one.

    Yields:
        The values that were chosen, by path; and the specification with them in place.

    Raises:
        RecursiveDependencyError: a function asks for a value that depends on its own.
        ValueError: a function raised.
    """
    for resolved_vars, spec in _variants(unresolved_spec, constant_grid_search, random_state):
        if _unresolved(spec):
            raise ValueError(f"the search space is still not resolved after {_MOST_PASSES} passes: {spec}")
        yield resolved_vars, spec


def _variants(
    unresolved_spec: dict[str, Any], constant: bool, random_state: RandomState, depth: int = 0
) -> Generator[tuple[dict[Path, Any], dict[str, Any]], None, None]:
    spec = _copy_structure(unresolved_spec)
    _, domain_vars, grid_vars = parse_spec_vars(spec)
    if not domain_vars and not grid_vars:
        yield {}, spec
        return
    if depth >= _MOST_PASSES:
        yield {}, spec
        return
    drawn_once: list[tuple[Path, Any]] | None = None
    for grid_values in _grid_points(grid_vars):
        point = _copy_structure(spec)
        for path, value in grid_values:
            assign_value(point, path, value)
        if constant and drawn_once is not None:
            drawn = drawn_once
            for path, value in drawn:
                assign_value(point, path, value)
        else:
            drawn = _draw(point, domain_vars, random_state)
            drawn_once = drawn
        here = dict(drawn)
        here.update(grid_values)
        for deeper, finished in _variants(point, constant, random_state, depth + 1):
            yield {**here, **deeper}, finished


def _grid_points(grid_vars: list[tuple[Path, list[Any]]]) -> Generator[list[tuple[Path, Any]], None, None]:
    """Every combination; the first grid changes fastest."""
    if any(not values for _, values in grid_vars):
        return
    indices = [0] * len(grid_vars)
    while True:
        yield [(path, values[index]) for index, (path, values) in zip(indices, grid_vars, strict=True)]
        for place, (_, values) in enumerate(grid_vars):
            indices[place] += 1
            if indices[place] < len(values):
                break
            indices[place] = 0
        else:
            return


def _draw(
    spec: dict[str, Any], domain_vars: list[tuple[Path, Domain]], random_state: RandomState
) -> list[tuple[Path, Any]]:
    """Draw for each domain, in order; a function that asks for a value not drawn yet waits for the others."""
    waiting, drawn = list(domain_vars), []
    last_error: RecursiveDependencyError | None = None
    while waiting:
        late = []
        for path, domain in waiting:
            try:
                value = domain.sample(_Guard(spec), random_state=random_state)
            except RecursiveDependencyError as error:
                last_error = error
                late.append((path, domain))
            except Exception as error:
                raise ValueError(f"Failed to evaluate expression: {path}: {domain}") from error
            else:
                assign_value(spec, path, value)
                drawn.append((path, value))
        if len(late) == len(waiting):
            assert last_error is not None
            raise last_error
        waiting = late
    order = {path: number for number, (path, _) in enumerate(domain_vars)}
    return sorted(drawn, key=lambda pair: order[pair[0]])


class _Guard(dict[str, Any]):
    """A specification as a parameter's function sees it: its keys are attributes too, and what is unknown is refused."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__({key: _guarded(value) for key, value in spec.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, item: Any) -> Any:
        value = super().__getitem__(item)
        if not _is_resolved(value):
            raise RecursiveDependencyError(f"`{item}` recursively depends on {value}")
        return value


def _guarded(value: Any) -> Any:
    return _Guard(value) if isinstance(value, dict) and _is_resolved(value) else value


def parse_spec_vars(
    spec: dict[str, Any],
) -> tuple[list[tuple[Path, Any]], list[tuple[Path, Domain]], list[tuple[Path, list[Any]]]]:
    """What stands in a specification.

    Args:
        spec: The specification.

    Returns:
        Fixed values, domains, and grids; each as pairs of path and value.
    """
    resolved: list[tuple[Path, Any]] = []
    domains: list[tuple[Path, Domain]] = []
    grids: list[tuple[Path, list[Any]]] = []
    for path, value in _walk(spec, ()):
        known, parsed = _parse(value)
        if known:
            resolved.append((path, value))
        elif _is_grid(parsed):
            categories = parsed.categories if isinstance(parsed, Categorical) else parsed
            grids.append((path, list(categories)))
        else:
            domains.append((path, parsed))
    return resolved, domains, sorted(grids, key=lambda pair: str(pair[0]))


def _walk(value: Any, path: Path) -> Generator[tuple[Path, Any], None, None]:
    """Leaves of the structure; a grid, a domain and an expression are leaves."""
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, dict) and _parse(value)[0]:
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        yield path, value
        return
    for key, child in items:
        yield from _walk(child, (*path, key))


def _parse(value: Any) -> tuple[bool, Any]:
    """Whether a value is fixed, and if not what is to be chosen: a domain, or a list of values for a grid."""
    if isinstance(value, Domain):
        return False, value
    if isinstance(value, dict) and len(value) == 1:
        if "eval" in value:
            expression = value["eval"]
            return False, Function(lambda spec: _evaluate(expression, spec))
        if "grid_search" in value:
            values = value["grid_search"]
            if not isinstance(values, Iterable):
                raise TypeError(
                    f"Grid search expected list of values, got: {values!r}; {type(values).__name__!r} object is not "
                    "iterable"
                )
            return False, list(values)
    return True, value


def _evaluate(expression: str, spec: Any) -> Any:
    import numpy as np

    return eval(expression, {"random": random, "np": np}, {"_": spec})


def _is_grid(parsed: Any) -> bool:
    return isinstance(parsed, list) or (isinstance(parsed, Categorical) and parsed.is_grid())


def _is_resolved(value: Any) -> bool:
    return _parse(value)[0]


def _unresolved(spec: dict[str, Any]) -> bool:
    return any(not _is_resolved(value) for _, value in _walk(spec, ()))


def has_unresolved_values(spec: dict[str, Any]) -> bool:
    """Whether there is anything to choose in a specification."""
    return _unresolved(spec)


def _copy_structure(value: Any) -> Any:
    """A copy of dictionaries, lists and tuples; what lies in them is shared."""
    if isinstance(value, dict):
        new = copy.copy(value)
        for key, child in value.items():
            new[key] = _copy_structure(child)
        return new
    if isinstance(value, list):
        return [_copy_structure(child) for child in value]
    if type(value) is tuple:
        return tuple(_copy_structure(child) for child in value)
    return value


def assign_value(spec: Any, path: Path, value: Any) -> None:
    """Put a value in place.

    Args:
        spec: The specification, which is changed.
        path: Where.
        value: What.
    """
    _assign(spec, path, value)


def _assign(container: Any, path: Path, value: Any) -> Any:
    key, rest = path[0], path[1:]
    new = _assign(container[key], rest, value) if rest else value
    if isinstance(container, tuple):
        return (*container[:key], new, *container[key + 1 :])
    container[key] = new
    return container


def get_value(spec: Any, path: Path) -> Any:
    """The value at a path."""
    for key in path:
        spec = spec[key]
    return spec


def count_variants(spec: dict[str, Any], presets: Sequence[dict[str, Any]] | None = None) -> int:
    """How many combinations the grids of a specification have.

    Args:
        spec: The specification.
        presets: Values given beforehand; a grid whose value is among them counts once for it.

    Returns:
        The number.
    """
    spec = _copy_structure(spec)
    total = 0
    for preset in presets or []:
        total += _count_grid(merge_preset(spec, preset))
    return total + _count_grid(spec)


def _count_grid(spec: dict[str, Any]) -> int:
    count = 1
    for _, values in parse_spec_vars(spec)[2]:
        # A value may hold grids of its own.
        count *= sum(_count_grid(value) if isinstance(value, dict) else 1 for value in values)
    return count


def count_spec_samples(spec: dict[str, Any], num_samples: int = 1) -> int:
    """How many trials a specification makes.

    Args:
        spec: The specification.
        num_samples: How often each combination of the grids is tried.

    Returns:
        The number.
    """
    return num_samples * _count_grid(spec)


def merge_preset(spec: dict[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """The specification with given parameters in place.

    Args:
        spec: The specification, whose "config" holds the parameters.
        preset: Parameters by name, which may be nested like the specification's, or named by path: "a/b".

    Returns:
        A copy.

    Raises:
        KeyError: a parameter is not in the specification.
    """
    merged: dict[str, Any] = _copy_structure(spec)
    config = merged.setdefault("config", {})
    for path, value in _walk_preset(preset, ()):
        place = config
        for key in path[:-1]:
            if not isinstance(place, dict) or key not in place:
                raise KeyError(
                    f"points_to_evaluate names {'/'.join(map(str, path))!r}, which is no parameter."
                )
            place = place[key]
        if not isinstance(place, dict) or path[-1] not in place:
            raise KeyError(f"points_to_evaluate names {'/'.join(map(str, path))!r}, which is no parameter.")
        known, parsed = _parse(place[path[-1]])
        if not known and isinstance(parsed, list) and value not in parsed:
            _logger.warning(
                "Pre-set value `%s` is not within valid values of parameter `%s`: %s. It is tried all the same.",
                value,
                "/".join(map(str, path)),
                parsed,
            )
        place[path[-1]] = value
    return merged


def _walk_preset(preset: Mapping[str, Any], path: Path) -> Generator[tuple[Path, Any], None, None]:
    for key, value in preset.items():
        here = (*path, *key.split("/")) if isinstance(key, str) else (*path, key)
        if isinstance(value, dict) and value and _is_resolved(value):
            yield from _walk_preset(value, here)
        else:
            yield here, value


def _get_preset_variants(
    spec: dict[str, Any],
    config: Mapping[str, Any],
    constant_grid_search: bool = False,
    random_state: RandomState = None,
) -> Generator[tuple[dict[Path, Any], dict[str, Any]], None, None]:
    """Every combination of the grids that are left once given parameters are in place. Programs written for Ray call it.

    Args:
        spec: The specification, whose "config" holds the parameters.
        config: The given parameters.
        constant_grid_search: See `generate_variants`.
        random_state: See `generate_variants`.
    """
    return _variants(merge_preset(spec, config), constant_grid_search, random_state)


def format_vars(resolved_vars: Mapping[Path, Any]) -> str:
    """Chosen values in a line, for a trial's name: "lr=0.1000,layers=3".

    Args:
        resolved_vars: Values by path.

    Returns:
        The line.
    """
    parts = []
    for path, value in sorted(resolved_vars.items(), key=lambda pair: str(pair[0])):
        parts.append(f"{_clean(path[-1])}={_clean(value)}")
    return ",".join(parts)


def _clean(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return re.sub(r"(^[^\w-]+|[^\w-]+$)", "", re.sub(r"[^\w.-]+", "_", text)).strip("_")


def flatten_resolved_vars(resolved_vars: Mapping[Path, Any]) -> dict[str, Any]:
    """Chosen values by name: `{"a/b": 1}`. The leading "config" is left out.

    Args:
        resolved_vars: Values by path.

    Returns:
        Values by name.
    """
    flat = {}
    for path, value in resolved_vars.items():
        keys = path[1:] if path and path[0] == "config" else path
        flat["/".join(str(key) for key in keys)] = value
    return flat
