"""The pickler of functions and classes that Skate uses, under Ray's name of the module: the package `cloudpickle`."""

from __future__ import annotations

from pickle import load, loads

from cloudpickle import (
    DEFAULT_PROTOCOL,
    CloudPickler,
    Pickler,
    dump,
    dumps,
    register_pickle_by_value,
    unregister_pickle_by_value,
)

__all__ = [
    "CloudPickler",
    "DEFAULT_PROTOCOL",
    "Pickler",
    "dump",
    "dumps",
    "load",
    "loads",
    "register_pickle_by_value",
    "unregister_pickle_by_value",
]
