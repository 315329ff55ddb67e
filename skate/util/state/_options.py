"""What a question to the state API may say, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LIMIT = 100
DEFAULT_LOG_LIMIT = 1000
RAY_MAX_LIMIT_FROM_API_SERVER = 1_000_000
RAY_MAX_LIMIT_FROM_DATA_SOURCE = 1_000_000
PREDICATES = ("=", "!=")


@dataclass
class ListApiOptions:
    """What to list.

    Raises:
        ValueError: a filter is no (column, "=" or "!=", value).
    """

    limit: int = DEFAULT_LIMIT
    timeout: int = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: list[tuple[str, str, Any]] | None = field(default_factory=list)
    exclude_driver: bool = True
    server_timeout_multiplier: float = 0.8

    def __post_init__(self) -> None:
        self.filters = list(self.filters or ())
        for item in self.filters:
            if isinstance(item, str) or not isinstance(item, list | tuple) or len(item) != 3:
                raise ValueError(
                    f"filters={self.filters!r}: {item!r} is no filter. A filter is (column, '=' or '!=', value)."
                )
            if item[1] not in PREDICATES:
                raise ValueError(
                    f"Unsupported filter predicate {item[1]} is given. Available predicates: =, !=. In {item!r}."
                )


@dataclass
class GetApiOptions:
    """How to get one."""

    timeout: int = DEFAULT_RPC_TIMEOUT
    server_timeout_multiplier: float = 0.8


@dataclass
class SummaryApiOptions:
    """What to summarize."""

    timeout: int = DEFAULT_RPC_TIMEOUT
    filters: list[tuple[str, str, Any]] | None = field(default_factory=list)
    summary_by: str | None = None


@dataclass
class ListApiResponse:
    """A list, and how much of all there is it shows."""

    total: int
    num_after_truncation: int
    num_filtered: int
    result: list[dict[str, Any]]
