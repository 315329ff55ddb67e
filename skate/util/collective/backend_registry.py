"""Backends that programs bring themselves."""

from __future__ import annotations

from skate.util.collective.collective_group.base_collective_group import BaseGroup


class BackendRegistry:
    """Groups' classes, by the names of their backends."""

    def __init__(self) -> None:
        self._classes: dict[str, type[BaseGroup]] = {}

    def put(self, name: str, group_cls: type[BaseGroup]) -> None:
        """Add one.

        Raises:
            TypeError: `group_cls` does not derive from `BaseGroup`.
            ValueError: the name is taken.
        """
        if not isinstance(group_cls, type) or not issubclass(group_cls, BaseGroup):
            raise TypeError(f"{group_cls!r} is not a subclass of BaseGroup.")
        if name.upper() in self._classes:
            raise ValueError(f"Backend {name.upper()!r} is already registered.")
        self._classes[name.upper()] = group_cls

    def get(self, name: str) -> type[BaseGroup]:
        """The class of a backend.

        Raises:
            ValueError: there is none of that name.
        """
        if not self.is_registered(name):
            raise ValueError(f"Backend {name.upper()!r} is not registered.")
        return self._classes[name.upper()]

    def is_registered(self, name: str) -> bool:
        """Whether there is a backend of that name."""
        return name.upper() in self._classes

    def check(self, name: str) -> bool:
        """Whether that backend can be used here."""
        return self.is_registered(name) and bool(self.get(name).check_backend_availability())


registry = BackendRegistry()


def known_backends() -> tuple[str, ...]:
    """The names of registered backends."""
    return tuple(registry._classes)  # noqa: SLF001 -- this module's own


def register_collective_backend(name: str, group_cls: type[BaseGroup]) -> None:
    """Make a class of groups usable as `backend=name`, in this process.

    Raises:
        TypeError: it does not derive from `BaseGroup`.
        ValueError: the name is taken.
    """
    registry.put(name, group_cls)


__all__ = ["BackendRegistry", "known_backends", "register_collective_backend", "registry"]
