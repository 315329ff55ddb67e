"""Placeholders for what a search space holds besides plain values.

A search algorithm sees names, numbers and domains. Anything else, such as a data set or a function that is sampled, is taken out and a
placeholder put in its place, a tuple of a token and an id. Once a configuration has been chosen, the placeholders in it are replaced by
what they stand for: objects first, then functions, which may look at the configuration.

Two paths belong to a placeholder. Its id comes from where the object stood in the search space, options of a grid or choice included, and
so is its own. The other is where the placeholder may lie once a configuration has been chosen, where the options' level is gone: options
share it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, MutableMapping
from typing import Any

from skate.tune.search.sample import Categorical, Domain, Function
from skate.tune.search.variant_generator import assign_value

__all__ = [
    "ID_HASH_LENGTH",
    "create_resolvers_map",
    "inject_placeholders",
    "resolve_placeholders",
]

ID_HASH_LENGTH = 8
"""The digits of an id."""

Path = tuple[Any, ...]
_PLAIN = (int, float, str, bool, type(None))


class _RefResolver:
    """Stands for an object.

    Args:
        hash: The id.
        value: The object.
    """

    TOKEN = "__ref_ph"

    def __init__(self, hash: str, value: Any) -> None:
        self.hash = hash
        self._value = value

    def resolve(self, config: dict[str, Any] | None = None) -> Any:
        """The object."""
        return self._value

    def get_placeholder(self) -> tuple[str, str]:
        """What is put in its place."""
        return (self.TOKEN, self.hash)


class _FunctionResolver:
    """Stands for a function that is sampled.

    Args:
        hash: The id.
        fn: The domain that holds the function.
    """

    TOKEN = "__fn_ph"

    def __init__(self, hash: str, fn: Function) -> None:
        self.hash = hash
        self._fn = fn

    def resolve(self, config: dict[str, Any]) -> Any:
        """What the function returns for a configuration."""
        return self._fn.sample(config=config)

    def get_placeholder(self) -> tuple[str, str]:
        """What is put in its place."""
        return (self.TOKEN, self.hash)


Resolvers = MutableMapping[Path, list[Any]]


def create_resolvers_map() -> defaultdict[Path, list[Any]]:
    """An empty map of what has been taken out of a search space, by where its placeholder may lie."""
    return defaultdict(list)


def inject_placeholders(
    config: Any, resolvers: Resolvers, id_prefix: Path = (), path_prefix: Path = ()
) -> Any:
    """Put placeholders in the place of what is neither a plain value nor a domain.

    Args:
        config: The search space. The options of its grids and choices are changed in place.
        resolvers: Takes up what is taken out; see `create_resolvers_map`.
        id_prefix: Where `config` stands in the whole search space.
        path_prefix: Where it will stand in a chosen configuration.

    Returns:
        The search space with placeholders.

    Example:
        >>> taken = create_resolvers_map()
        >>> space = inject_placeholders({"data": object, "x": 1}, taken)
        >>> space["x"], space["data"][0]
        (1, '__ref_ph')
        >>> resolve_placeholders(space, taken)
        >>> space["data"]
        <class 'object'>
    """

    def below(value: Any, key: Any) -> Any:
        return inject_placeholders(value, resolvers, (*id_prefix, key), (*path_prefix, key))

    def options(values: Any) -> list[Any]:
        return [
            inject_placeholders(value, resolvers, (*id_prefix, number), path_prefix)
            for number, value in enumerate(values)
        ]

    if isinstance(config, dict):
        if set(config) == {"grid_search"}:
            config["grid_search"] = options(config["grid_search"])
            return config
        return {key: below(value, key) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)([below(value, number) for number, value in enumerate(config)])
    if isinstance(config, Categorical):
        config.categories = options(config.categories)
        return config
    if isinstance(config, _PLAIN) or (isinstance(config, Domain) and not isinstance(config, Function)):
        return config
    identity = hashlib.sha256(str(id_prefix).encode()).hexdigest()[:ID_HASH_LENGTH]
    kind = _FunctionResolver if isinstance(config, Function) else _RefResolver
    resolver = kind(identity, config)
    resolvers[path_prefix].append(resolver)
    return resolver.get_placeholder()


def resolve_placeholders(config: Any, replaced: Mapping[Path, list[Any]]) -> None:
    """Put back what placeholders stand for.

    Args:
        config: A chosen configuration; it is changed in place.
        replaced: What `inject_placeholders` has taken out.
    """
    for kind in (_RefResolver, _FunctionResolver):
        for path, resolvers in replaced.items():
            place, placeholder = _find(config, path)
            for resolver in resolvers:
                if isinstance(resolver, kind) and placeholder == resolver.get_placeholder():
                    value = resolver.resolve(config)
                    assign_value(config, place, value)


def _find(config: Any, path: Path) -> tuple[Path, tuple[str, str] | None]:
    """The placeholder on a path, and where it lies: nearer than the path's end if options were nested."""
    for depth in range(len(path) + 1):
        if isinstance(config, tuple) and config[:1] in ((_RefResolver.TOKEN,), (_FunctionResolver.TOKEN,)):
            return path[:depth], (config[0], config[1])
        if depth == len(path):
            break
        key = path[depth]
        there = key in config if isinstance(config, dict) else _is_index(config, key)
        if not there:
            break  # another option was chosen
        config = config[key]
    return (), None


def _is_index(config: Any, key: Any) -> bool:
    return isinstance(config, list | tuple) and isinstance(key, int) and key < len(config)
