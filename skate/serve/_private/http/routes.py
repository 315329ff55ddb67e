"""Which application a path belongs to: the one with the longest prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skate.serve._private.common import AppRoute


class RouteTable:
    """Route prefixes of applications."""

    def __init__(self, routes: Iterable[AppRoute] = ()) -> None:
        self._routes = sorted(routes, key=lambda route: -len(route.prefix))
        self._by_app = {route.app_name: route for route in self._routes}
        self._root = self._routes[0] if len(self._routes) == 1 and self._routes[0].prefix == "/" else None

    def match(self, path: str) -> AppRoute | None:
        """The application that answers `path`."""
        if self._root is not None:
            return self._root
        for route in self._routes:
            prefix = route.prefix
            if prefix == "/" or path == prefix or (path.startswith(prefix) and path[len(prefix)] == "/"):
                return route
        return None

    def app(self, name: str) -> AppRoute | None:
        """The route of an application."""
        return self._by_app.get(name)

    def listing(self) -> dict[str, str]:
        """Applications by prefix, for `/-/routes`."""
        return {route.prefix: route.app_name for route in self._routes}

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[AppRoute]:
        return iter(self._routes)


def normalize(prefix: str | None) -> str | None:
    """A route prefix as it is compared: without a slash at its end.

    Raises:
        ValueError: it doesn't begin with a slash, ends with one, or has wildcards.
    """
    if prefix is None:
        return None
    if not prefix.startswith("/"):
        raise ValueError(f"Invalid route_prefix '{prefix}', must start with a forward slash ('/').")
    if prefix != "/" and prefix.endswith("/"):
        raise ValueError(f"Invalid route_prefix '{prefix}', may not end with a trailing '/'.")
    if "{" in prefix or "}" in prefix:
        raise ValueError(f"Invalid route_prefix '{prefix}', may not contain wildcards.")
    return prefix
