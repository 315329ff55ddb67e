"""MongoDB collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SAMPLES = 20  # documents that are looked at for each part, to divide a collection by its keys
_ROWS = 10_000


class MongoDatasource(Datasource):
    """What a pipeline makes of a collection, a task for each range of `_id`.

    Args:
        uri: The server's address.
        database: The database.
        collection: The collection.
        pipeline: Stages of an aggregation; None for all documents.
        schema: A schema of `pymongoarrow`, or of Arrow; None finds the types by the values.
        mongo_args: Arguments of `Collection.aggregate`.

    Raises:
        ImportError: pymongo is missing.
    """

    def __init__(
        self,
        uri: str,
        database: str,
        collection: str,
        pipeline: list[dict[str, Any]] | None = None,
        schema: Any = None,
        **mongo_args: Any,
    ) -> None:
        require_module("pymongo")
        super().__init__()
        self._uri, self._database, self._collection = uri, database, collection
        self._pipeline = list(pipeline or [{"$match": {"_id": {"$exists": "true"}}}])
        self._schema, self._args = schema, mongo_args

    def get_name(self) -> str:
        """`Mongo`."""
        return "Mongo"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown: asking would need another round trip."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """A task for each range of keys.

        Raises:
            ValueError: there is no such database or collection.
        """
        with require_module("pymongo").MongoClient(self._uri) as client:
            _check(client, self._database, self._collection)
            bounds = self._bounds(client[self._database][self._collection], parallelism)
        meta = BlockMetadata(None, None, None)
        edges = list(zip([None, *bounds], [*bounds, None], strict=True))
        return [ReadTask(_ReadRange(self, low, high), meta, None, per_task_row_limit) for low, high in edges]

    def _bounds(self, collection: Any, parts: int) -> list[Any]:
        """Keys that divide the collection, taken from a sample of it."""
        if parts <= 1:
            return []
        sampled = collection.aggregate([{"$sample": {"size": parts * _SAMPLES}}, {"$project": {"_id": 1}}])
        keys = [document["_id"] for document in sampled]
        try:
            keys = sorted(set(keys))
        except TypeError:  # keys of several types have no order that Python knows, or can't be hashed
            return []
        if not keys or len({type(key) for key in keys}) > 1:
            return []
        return [keys[len(keys) * part // parts] for part in range(1, parts) if len(keys) >= parts]


class _ReadRange:
    def __init__(self, source: MongoDatasource, low: Any, high: Any) -> None:
        self._source, self._low, self._high = source, low, high

    def __call__(self) -> Iterator[pa.Table]:
        source = self._source
        within: dict[str, Any] = {}
        if self._low is not None:
            within["$gte"] = self._low
            if self._high is not None:
                within["$lt"] = self._high
        elif self._high is not None:
            # Comparisons pass over keys of other types than theirs; this one is denied, so that they are read here.
            within["$not"] = {"$gte": self._high}
        first = [{"$match": {"_id": within}}] if within else []
        with require_module("pymongo").MongoClient(source._uri) as client:
            collection = client[source._database][source._collection]
            cursor = collection.aggregate([*first, *source._pipeline], **source._args)
            rows: list[dict[str, Any]] = []
            for document in cursor:
                rows.append(_plain(document))
                if len(rows) == _ROWS:
                    yield self._table(rows)
                    rows = []
            if rows:
                yield self._table(rows)

    def _table(self, rows: list[dict[str, Any]]) -> pa.Table:
        schema = self._source._schema
        if schema is None:
            return convert.table_from_rows(rows)
        arrow = schema if isinstance(schema, pa.Schema) else schema.to_arrow()
        return pa.Table.from_pylist([{name: row.get(name) for name in arrow.names} for row in rows], arrow)


def _plain(value: Any) -> Any:
    """A document with identifiers as text, and MongoDB's own kinds of number and binary as Python's."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value).__module__.startswith("bson"):
        return _from_bson(value)
    return value


def _from_bson(value: Any) -> Any:
    kind = type(value).__name__
    if kind == "ObjectId":
        return value.binary
    if kind == "Decimal128":
        return value.to_decimal()
    if kind == "Int64":
        return int(value)
    return str(value)


def _check(client: Any, database: str, collection: str) -> None:
    """Check that a collection is there.

    Raises:
        ValueError: it is not.
    """
    if database not in client.list_database_names():
        raise ValueError(f"The destination database {database} doesn't exist.")
    if collection not in client[database].list_collection_names():
        raise ValueError(f"The destination collection {collection} doesn't exist.")


class MongoDatasink(Datasink[None]):
    """Inserts a document for each row.

    Args:
        uri: The server's address.
        database: The database, which must exist.
        collection: The collection, which must exist.

    Raises:
        ImportError: pymongo is missing.
    """

    def __init__(self, uri: str, database: str, collection: str) -> None:
        require_module("pymongo")
        self._uri, self._database, self._collection = uri, database, collection

    def on_write_start(self, schema: Any = None) -> None:
        """Check that the collection is there."""
        with require_module("pymongo").MongoClient(self._uri) as client:
            _check(client, self._database, self._collection)

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> None:
        """Insert the rows of a task."""
        with require_module("pymongo").MongoClient(self._uri) as client:
            collection = client[self._database][self._collection]
            for block in blocks:
                rows = [_for_bson(row) for row in convert.iter_rows(block)]
                if rows:
                    collection.insert_many(rows)


def _for_bson(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _for_bson(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_for_bson(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and numbers
        return value.tolist()
    return value


__all__ = ["MongoDatasink", "MongoDatasource"]
