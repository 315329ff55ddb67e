"""Datasets that stream through a machine of any size: read, transform, group, sort, join, write, train.

The map:

    creation, reading   functions that make datasets
    dataset, methods    `Dataset`, and its methods by what they do
    expressions         `col("x") + 1`
    aggregate           sums, means, quantiles and your own
    plan                the logical plan, its rewrite rules, the native engine's part
    execution           how a plan runs: stages, tasks, actor pools
    datasource          what can be read and written
    convert, extensions Arrow tables, and what users' functions see of them

Example:
    >>> import skate.data
    >>> skate.data.range(3).map(lambda row: {"twice": row["id"] * 2}).take_all()
    [{'twice': 0}, {'twice': 2}, {'twice': 4}]
"""

try:
    import numpy as _numpy  # noqa: F401 - whether it is there
    import polars as _polars  # noqa: F401
    import pyarrow as _pyarrow  # noqa: F401
except ImportError as _error:
    raise ImportError(
        f'skate.data needs packages that are not installed ({_error}): pip install "skate[data]"'
    ) from _error

from skate.data import aggregate as aggregate
from skate.data import block as block
from skate.data import datatype as datatype
from skate.data import exceptions as exceptions
from skate.data import expressions as expressions
from skate.data.catalog import (
    Catalog,
    CatalogAccessMode,
    DatabricksUnityCatalog,
    ReaderFormat,
    ResolvedSource,
)
from skate.data.context import DataContext, DatasetContext, ExecutionOptions, ExecutionResources
from skate.data.creation import (
    from_arrow,
    from_arrow_refs,
    from_blocks,
    from_daft,
    from_dask,
    from_huggingface,
    from_items,
    from_mars,
    from_modin,
    from_numpy,
    from_numpy_refs,
    from_pandas,
    from_pandas_refs,
    from_polars,
    from_spark,
    from_tf,
    from_torch,
    range,
    range_tensor,
)
from skate.data.dataset import Dataset, MaterializedDataset, Schema
from skate.data.datasource import (
    BlockBasedFileDatasink,
    Datasink,
    Datasource,
    FileShuffleConfig,
    ReadTask,
    RowBasedFileDatasink,
    SaveMode,
)
from skate.data.datasource.clickhouse import ClickHouseTableSettings, SinkMode
from skate.data.datasource.kafka import KafkaAuthConfig
from skate.data.execution.progress import set_progress_bars
from skate.data.execution.strategies import ActorPoolStrategy, TaskPoolStrategy
from skate.data.extensions import ArrowTensorType, ArrowVariableShapedTensorType
from skate.data.iterator import DataIterator
from skate.data.iterator import DataIterator as DatasetIterator
from skate.data.options import MixStoppingCondition, NodeIdStr, RandomSeedConfig
from skate.data.preprocessor import Preprocessor
from skate.data.reading import (
    read_audio,
    read_avro,
    read_bigquery,
    read_binary_files,
    read_clickhouse,
    read_csv,
    read_databricks_tables,
    read_datasource,
    read_delta,
    read_delta_sharing_tables,
    read_hudi,
    read_iceberg,
    read_images,
    read_json,
    read_kafka,
    read_lance,
    read_lerobot,
    read_mcap,
    read_mongo,
    read_numpy,
    read_orc,
    read_parquet,
    read_snowflake,
    read_sql,
    read_text,
    read_tfrecords,
    read_unity_catalog,
    read_videos,
    read_webdataset,
    read_zarr,
)
from skate.data.stats import list_stats_summaries
from skate.data.summary import DatasetSummary

__all__ = [
    "read_videos",
    "read_unity_catalog",
    "read_snowflake",
    "read_mongo",
    "read_mcap",
    "read_lance",
    "read_lerobot",
    "read_kafka",
    "read_iceberg",
    "read_hudi",
    "read_delta_sharing_tables",
    "read_delta",
    "read_databricks_tables",
    "read_clickhouse",
    "read_bigquery",
    "read_audio",
    "ActorPoolStrategy",
    "ArrowTensorType",
    "ArrowVariableShapedTensorType",
    "BlockBasedFileDatasink",
    "Catalog",
    "CatalogAccessMode",
    "ClickHouseTableSettings",
    "DatabricksUnityCatalog",
    "KafkaAuthConfig",
    "SinkMode",
    "DataContext",
    "DataIterator",
    "Dataset",
    "DatasetContext",
    "DatasetIterator",
    "DatasetSummary",
    "Datasink",
    "Datasource",
    "ExecutionOptions",
    "ExecutionResources",
    "FileShuffleConfig",
    "MaterializedDataset",
    "MixStoppingCondition",
    "NodeIdStr",
    "Preprocessor",
    "RandomSeedConfig",
    "ReadTask",
    "ReaderFormat",
    "ResolvedSource",
    "RowBasedFileDatasink",
    "SaveMode",
    "Schema",
    "TaskPoolStrategy",
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_daft",
    "from_dask",
    "from_huggingface",
    "from_items",
    "from_mars",
    "from_modin",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_polars",
    "from_spark",
    "from_tf",
    "from_torch",
    "list_stats_summaries",
    "range",
    "range_tensor",
    "read_avro",
    "read_binary_files",
    "read_csv",
    "read_datasource",
    "read_images",
    "read_json",
    "read_numpy",
    "read_orc",
    "read_parquet",
    "read_sql",
    "read_text",
    "read_tfrecords",
    "read_webdataset",
    "read_zarr",
    "set_progress_bars",
]
