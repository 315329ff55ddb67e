"""Databricks: who asks, and the answers of a SQL warehouse, fetched over its REST interface."""

from __future__ import annotations

import abc
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pyarrow as pa

from skate.data.block import BlockMetadata
from skate.data.datasource.datasource import Datasource, ReadTask

if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL_SECONDS = 1.0
_TIMEOUT_SECONDS = 60.0

_log = logging.getLogger(__name__)


class DatabricksCredentialProvider(abc.ABC):
    """Base of what knows the workspace and a token for it. It is sent to tasks, so it must be picklable."""

    @abc.abstractmethod
    def get_token(self) -> str:
        """The token."""

    @abc.abstractmethod
    def get_host(self) -> str:
        """The workspace's host, or its address."""

    @abc.abstractmethod
    def invalidate(self) -> None:
        """Forget a token that was refused, so that the next call gives a new one."""


class StaticCredentialProvider(DatabricksCredentialProvider):
    """A token that stays the same.

    Args:
        token: The token.
        host: The workspace's host.

    Raises:
        ValueError: one is empty.
    """

    def __init__(self, token: str, host: str) -> None:
        if not token:
            raise ValueError("Token cannot be empty or None")
        if not host:
            raise ValueError("Host cannot be empty or None")
        self._token, self._host = token, host

    def get_token(self) -> str:
        """The token."""
        return self._token

    def get_host(self) -> str:
        """The workspace's host."""
        return self._host

    def invalidate(self) -> None:
        """Nothing: there is no other token."""


class EnvironmentCredentialProvider(DatabricksCredentialProvider):
    """A token and a host from environment variables.

    Args:
        token_env_var: The variable with the token.
        host_env_var: The variable with the host.

    Raises:
        ValueError: one is not set.
    """

    def __init__(
        self, token_env_var: str = "DATABRICKS_TOKEN", host_env_var: str = "DATABRICKS_HOST"
    ) -> None:
        self._variable = token_env_var
        token, host = os.environ.get(token_env_var), os.environ.get(host_env_var)
        if not token:
            raise ValueError(
                f"Environment variable '{token_env_var}' is not set. Please set it to your Databricks access token."
            )
        if not host:
            raise ValueError(
                f"You are not in databricks runtime, please set environment variable '{host_env_var}' to databricks "
                'workspace URL (e.g. "adb-<workspace-id>.<random-number>.azuredatabricks.net").'
            )
        self._token, self._host = token, host

    def get_token(self) -> str:
        """The token."""
        return self._token

    def get_host(self) -> str:
        """The workspace's host."""
        return self._host

    def invalidate(self) -> None:
        """Read the variable again."""
        self._token = os.environ.get(self._variable) or self._token


def provider_of(
    provider: DatabricksCredentialProvider | None, url: str | None = None, token: str | None = None
) -> DatabricksCredentialProvider:
    """The given provider, or one of a URL and a token.

    Raises:
        ValueError: neither is there.
    """
    if provider is not None:
        return provider
    if url and token:
        return StaticCredentialProvider(token, url)
    raise ValueError("Either 'credential_provider' or both 'url' and 'token' must be provided.")


def address_of(host: str) -> str:
    """The workspace's address, by its host."""
    return (host if "://" in host else f"https://{host}").rstrip("/")


def call(provider: DatabricksCredentialProvider, path: str, body: Any = None) -> Any:
    """Ask the workspace; once more with a new token if the first is refused.

    Args:
        provider: Who asks.
        path: What to ask for, below the workspace's address.
        body: What to send; None only asks.

    Raises:
        OSError: the workspace refuses, or can't be reached; the message has its answer.
    """
    import urllib.error
    import urllib.request

    address = urljoin(address_of(provider.get_host()) + "/", path)
    for last in (False, True):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data)
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {provider.get_token()}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 401 and not last:
                provider.invalidate()
                continue
            text = error.read().decode(errors="replace")
            raise OSError(f"{address} answered {error.code} {error.reason}: {text[:500]}") from error
    raise AssertionError("the second try returns or raises")


class DatabricksUCDatasource(Datasource):
    """The answer of a SQL warehouse to a query.

    Args:
        warehouse_id: The warehouse.
        catalog: The catalog that names in the query are in.
        schema: The schema that names in the query are in.
        query: The query.
        credential_provider: Who asks.

    Raises:
        RuntimeError: the query fails.
    """

    def __init__(
        self,
        warehouse_id: str,
        catalog: str | None,
        schema: str | None,
        query: str,
        credential_provider: DatabricksCredentialProvider,
    ) -> None:
        super().__init__()
        self._provider = credential_provider
        statement = {
            "statement": query,
            "warehouse_id": warehouse_id,
            "wait_timeout": "0s",
            "disposition": "EXTERNAL_LINKS",
            "format": "ARROW_STREAM",
        }
        statement |= {name: given for name, given in (("catalog", catalog), ("schema", schema)) if given}
        answer = call(self._provider, "api/2.0/sql/statements/", statement)
        self._statement = answer["statement_id"]
        answer = self._wait(answer)
        state = answer["status"]["state"]
        if state != "SUCCEEDED":
            raise RuntimeError(f"Query {query!r} execution failed.\n{answer['status']}")
        manifest = answer["manifest"]
        if manifest.get("truncated"):
            _log.warning("The answer to %r is too large for the warehouse, and is not whole.", query)
        self._chunks = manifest.get("chunks") or []
        self._size: int = sum(chunk.get("byte_count", 0) for chunk in self._chunks)

    def _wait(self, answer: Any) -> Any:
        path = f"api/2.0/sql/statements/{self._statement}"
        try:
            while answer["status"]["state"] in ("PENDING", "RUNNING"):
                time.sleep(_POLL_SECONDS)
                answer = call(self._provider, path)
        except KeyboardInterrupt:
            call(self._provider, f"{path}/cancel", {})
            raise
        return answer

    def get_name(self) -> str:
        """`DatabricksUC`."""
        return "DatabricksUC"

    def estimate_inmemory_data_size(self) -> int | None:
        """As the warehouse counts it."""
        return self._size

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of the chunks of the answer."""
        parts = max(1, min(parallelism, len(self._chunks)))
        tasks = []
        for part in range(parts):
            chunks = self._chunks[part * len(self._chunks) // parts : (part + 1) * len(self._chunks) // parts]
            numbers = [chunk["chunk_index"] for chunk in chunks]
            rows = sum(chunk["row_count"] for chunk in chunks)
            meta = BlockMetadata(rows, sum(chunk.get("byte_count", 0) for chunk in chunks), None)
            read = _ReadChunks(self._provider, self._statement, numbers)
            tasks.append(ReadTask(read, meta, None, per_task_row_limit))
        return tasks


class _ReadChunks:
    def __init__(self, provider: DatabricksCredentialProvider, statement: str, chunks: list[int]) -> None:
        self._provider, self._statement, self._chunks = provider, statement, chunks

    def __call__(self) -> Iterator[pa.Table]:
        import urllib.request

        for number in self._chunks:
            path = f"api/2.0/sql/statements/{self._statement}/result/chunks/{number}"
            link = call(self._provider, path)["external_links"][0]["external_link"]
            # The link carries its own permission; the workspace's token is not for whoever answers there.
            with urllib.request.urlopen(link, timeout=_TIMEOUT_SECONDS) as answer:
                yield pa.ipc.open_stream(answer.read()).read_all()


__all__ = [
    "DatabricksCredentialProvider",
    "DatabricksUCDatasource",
    "EnvironmentCredentialProvider",
    "StaticCredentialProvider",
    "address_of",
    "call",
    "provider_of",
]
