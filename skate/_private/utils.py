"""Small helpers that programs written for Ray import from here."""

from __future__ import annotations

import getpass
import os
import threading
from pathlib import Path
from typing import Any

from skate._memory import machine_memory

__all__ = [
    "ensure_str",
    "get_directory_size_bytes",
    "get_num_cpus",
    "get_system_memory",
    "get_user",
    "is_main_thread",
    "split_address",
]


def get_num_cpus(override_docker_cpu_warning: bool = False, truncate: bool = True) -> float:
    """How many CPUs this process may use.

    Args:
        override_docker_cpu_warning: Accepted for Ray's programs: nothing is warned of.
        truncate: Accepted for Ray's programs: the number is whole.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_system_memory() -> int:
    """Bytes of memory that this process may use: its control group's limit, or the machine's."""
    return machine_memory()


def get_directory_size_bytes(path: str | Path = ".") -> int:
    """Bytes of all files in a directory and those below it."""
    return sum(each.stat().st_size for each in Path(path).rglob("*") if each.is_file())


def get_user() -> str:
    """Who runs this process."""
    return getpass.getuser()


def is_main_thread() -> bool:
    """Whether the calling thread is the process's main one."""
    return threading.current_thread() is threading.main_thread()


def ensure_str(s: Any, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Text, also where it is given as bytes."""
    return s if isinstance(s, str) else bytes(s).decode(encoding, errors)


def split_address(address: str) -> tuple[str, str]:
    """What stands before "://" in an address, and what after.

    Raises:
        ValueError: it has no such part.

    Example:
        >>> split_address("ray://here:10001")
        ('ray', 'here:10001')
    """
    module, found, inner = address.partition("://")
    if not found:
        raise ValueError(f"Address must contain '://': got {address!r}.")
    return module, inner
