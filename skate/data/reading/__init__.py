"""Functions that read datasets, by the kind of what is read; `arguments` is what they share."""

from skate.data.reading.arrays import (
    read_audio,
    read_binary_files,
    read_images,
    read_numpy,
    read_videos,
    read_zarr,
)
from skate.data.reading.columnar import read_avro, read_orc
from skate.data.reading.custom import read_datasource
from skate.data.reading.databases import (
    read_bigquery,
    read_clickhouse,
    read_databricks_tables,
    read_kafka,
    read_mongo,
    read_snowflake,
    read_sql,
)
from skate.data.reading.lakes import (
    read_delta,
    read_delta_sharing_tables,
    read_hudi,
    read_iceberg,
    read_lance,
    read_unity_catalog,
)
from skate.data.reading.parquet import read_parquet
from skate.data.reading.records import read_lerobot, read_mcap, read_tfrecords, read_webdataset
from skate.data.reading.text import read_csv, read_json, read_text

__all__ = [
    "read_audio",
    "read_avro",
    "read_bigquery",
    "read_binary_files",
    "read_clickhouse",
    "read_csv",
    "read_databricks_tables",
    "read_datasource",
    "read_delta",
    "read_delta_sharing_tables",
    "read_hudi",
    "read_iceberg",
    "read_images",
    "read_json",
    "read_kafka",
    "read_lance",
    "read_lerobot",
    "read_mcap",
    "read_mongo",
    "read_numpy",
    "read_orc",
    "read_parquet",
    "read_snowflake",
    "read_sql",
    "read_text",
    "read_tfrecords",
    "read_unity_catalog",
    "read_videos",
    "read_webdataset",
    "read_zarr",
]
