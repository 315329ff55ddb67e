"""The import hook: it answers for `ray` and `ray.x.y` with Skate's modules of the same path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from skate._version import RAY_VERSION
from skate.compat._missing import explain
from skate.compat._moved import path_in_skate

if TYPE_CHECKING:
    from importlib.metadata import Distribution, DistributionFinder

HIDDEN = frozenset({"cli", "compat", "core", "engine"})
"""Parts of Skate that are no part of Ray's API."""


class RayFinder(MetaPathFinder):
    """Finds `ray` and everything under it, and the distribution `ray` for programs that look up its version."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of the same path in Skate, or None if the name is not under `ray`.

        Raises:
            ModuleNotFoundError: Skate has no such module. None would leave it to a message that does not say why, and to a
                Ray that is installed too.
        """
        first, _, rest = fullname.partition(".")
        if first != "ray":
            return None
        own = f"skate.{path_in_skate(rest)}" if rest else "skate"
        found = None if rest.partition(".")[0] in HIDDEN else importlib.util.find_spec(own)
        if found is None:
            # Not under its own name: `from ray import x` would take that for "no such submodule" and drop the message.
            raise ModuleNotFoundError(f"No module named {fullname!r}: {explain(fullname)}", name=own)
        is_package = found.submodule_search_locations is not None
        spec = ModuleSpec(fullname, _Alias(own), origin=found.origin, is_package=is_package)
        if is_package:
            spec.submodule_search_locations = list(found.submodule_search_locations or ())
        return spec

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        """The distribution `ray`, of the version that is matched."""
        if context.name is None or context.name.lower() == "ray":
            from skate.compat._distribution import RayDistribution

            yield RayDistribution()


class _Alias(Loader):
    """Loads a module of Skate under a second name."""

    def __init__(self, own: str) -> None:
        self.own = own

    def exec_module(self, module: ModuleType) -> None:
        """Give the name Skate's own module, or make of the fresh `module` one that shares all of its names."""
        own = importlib.import_module(self.own)
        spec = module.__spec__
        assert spec is not None
        # A module that is loaded lazily (importlib.util.LazyLoader) has been handed out already, and can't be replaced.
        if self.own == "skate" or spec.loader_state is not None:
            share(module, own)
        else:
            sys.modules[spec.name] = own  # this is what the import gives


class SharedModule(ModuleType):
    """A module whose names are another's, but for its own name, path and version. What is set on it is set on the other too."""

    _shared: ModuleType

    def __getattr__(self, name: str) -> Any:
        """What the other module loads on first use."""
        if name not in HIDDEN and not name.startswith("__"):
            try:
                return getattr(self._shared, name)
            except AttributeError:
                pass  # it speaks of skate; the reader has written ray
        full = f"{self.__name__}.{name}"
        raise AttributeError(
            f"module {self.__name__!r} has no attribute {name!r}: {explain(full)}", name=name, obj=self
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set here and on the other, so that a test that replaces `ray.get` replaces it for libraries too."""
        super().__setattr__(name, value)
        if not _is_own(name):
            setattr(self._shared, name, value)

    def __delattr__(self, name: str) -> None:
        vars(self).pop(name, None)
        if not _is_own(name):
            vars(self._shared).pop(name, None)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(self._shared)} - HIDDEN)

    def __reduce__(self) -> Any:
        return importlib.import_module, (self.__name__,)


def share(module: ModuleType, own: ModuleType) -> None:
    """Make a fresh module share all names of `own`. They are copied, so that `ray.get` is found as quickly as in any module."""
    found = {name: value for name, value in vars(own).items() if not _is_own(name)}
    vars(module).update(found, __doc__=own.__doc__, __file__=own.__file__, _shared=own)
    if hasattr(own, "__all__"):
        vars(module)["__all__"] = list(own.__all__)
    if module.__name__ == "ray":
        vars(module)["__version__"] = RAY_VERSION
    module.__class__ = SharedModule


def _is_own(name: str) -> bool:
    """Whether a name belongs to one module alone, and is not shared."""
    return name in HIDDEN or name == "_shared" or (name.startswith("__") and name.endswith("__"))
