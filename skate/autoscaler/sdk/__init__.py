"""`request_resources`."""

from __future__ import annotations

import logging
from typing import Any

import skate


def request_resources(
    num_cpus: int | None = None,
    bundles: list[dict[str, Any]] | None = None,
    bundle_label_selectors: list[dict[str, str]] | None = None,
) -> None:
    """Ask for a cluster of a certain size. A session has what it was started with: if that is less, a warning says so.

    Args:
        num_cpus: CPUs in all.
        bundles: Resources that are to fit at the same time, as in a placement group.
        bundle_label_selectors: Labels of the nodes of the bundles, one dictionary for each.

    Raises:
        TypeError, ValueError: an argument is of the wrong form.
    """
    if num_cpus is not None and (isinstance(num_cpus, bool) or not isinstance(num_cpus, int)):
        raise TypeError(f"num_cpus={num_cpus!r}: a whole number is needed.")
    for bundle in bundles or ():
        if not isinstance(bundle, dict):
            raise TypeError(f"bundles={bundles!r}: a list of dictionaries is needed, such as [{{'CPU': 1}}].")
    if bundle_label_selectors is not None and len(bundle_label_selectors) != len(bundles or ()):
        raise ValueError(
            f"{len(bundle_label_selectors)} bundle_label_selectors for {len(bundles or ())} bundles: there must be one for each."
        )
    wanted: dict[str, float] = {"CPU": num_cpus or 0}
    for bundle in bundles or ():
        for name, amount in bundle.items():
            wanted[name] = wanted.get(name, 0) + amount
    there = skate.cluster_resources()
    lacking = {name: amount for name, amount in wanted.items() if amount > there.get(name, 0)}
    if lacking:
        logging.getLogger("skate").warning(
            "request_resources() asks for %s, and the session has %s: it has what it was started with, and does not grow.",
            lacking,
            {name: there.get(name, 0) for name in lacking},
        )


__all__ = ["request_resources"]
