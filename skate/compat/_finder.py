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

from skate.compat._missing import explain

if TYPE_CHECKING:
    from importlib.metadata import Distribution, DistributionFinder

RAY_VERSION = "2.60.0"
"""The version of Ray whose API is matched."""

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
        own = f"skate.{rest}" if rest else "skate"
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
        """Replace the fresh `module` by Skate's own: what is in `sys.modules` after this is what the import gives."""
        own = importlib.import_module(self.own)
        assert module.__spec__ is not None
        sys.modules[module.__name__] = own if self.own != "skate" else RayModule(own, module.__spec__)


class RayModule(ModuleType):
    """The module `ray`: Skate in all but its version and its own name. What is set on it is set on Skate too."""

    def __init__(self, skate: ModuleType, spec: ModuleSpec) -> None:
        super().__init__("ray", skate.__doc__)
        # Copied, so that `ray.get` is found as quickly as in any module.
        vars(self).update({name: value for name, value in vars(skate).items() if not _is_own(name)})
        vars(self).update(
            __version__=RAY_VERSION,
            __spec__=spec,
            __loader__=spec.loader,
            __package__="ray",
            __path__=spec.submodule_search_locations,
            __file__=spec.origin,
            __all__=list(skate.__all__),
            _skate=skate,
        )

    def __getattr__(self, name: str) -> Any:
        """What Skate loads on first use."""
        if name not in HIDDEN and not name.startswith("__"):
            try:
                return getattr(vars(self)["_skate"], name)
            except AttributeError:
                pass  # it speaks of skate; the reader has written ray
        raise AttributeError(
            f"module 'ray' has no attribute {name!r}: {explain(f'ray.{name}')}", name=name, obj=self
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set here and on Skate, so that a test that replaces `ray.get` replaces it for libraries too."""
        super().__setattr__(name, value)
        if not _is_own(name):
            setattr(vars(self)["_skate"], name, value)

    def __delattr__(self, name: str) -> None:
        vars(self).pop(name, None)
        if not _is_own(name):
            vars(vars(self)["_skate"]).pop(name, None)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(vars(self)["_skate"])} - HIDDEN)

    def __reduce__(self) -> Any:
        return importlib.import_module, ("ray",)


def _is_own(name: str) -> bool:
    """Whether a name belongs to one module alone, and is not shared by `ray` and `skate`."""
    return name in HIDDEN or (name.startswith("__") and name.endswith("__"))
