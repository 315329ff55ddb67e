"""What can be read and written: base classes for sources and sinks, partitioned paths, names of files."""

from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import (
    Datasink,
    DummyOutputDatasink,
    WriteResult,
    WriteReturnType,
)
from skate.data.datasource.datasource import Datasource, RandomIntRowDatasource, Reader, ReadTask
from skate.data.datasource.delta_sharing import DeltaSharingDatasource
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink, RowBasedFileDatasink
from skate.data.datasource.file_meta_provider import (
    BaseFileMetadataProvider,
    DefaultFileMetadataProvider,
    FileMetadataProvider,
)
from skate.data.datasource.filename_provider import FilenameProvider
from skate.data.datasource.lerobot import LeRobotDatasource
from skate.data.datasource.mcap import MCAPDatasource, TimeRange
from skate.data.datasource.partitioning import (
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
)
from skate.data.datasource.sql import Connection
from skate.data.datasource.turbopuffer import TurbopufferDatasink
from skate.data.options import FileShuffleConfig, SaveMode

__all__ = [
    "BaseFileMetadataProvider",
    "BlockBasedFileDatasink",
    "BlockMetadata",
    "Connection",
    "Datasink",
    "DeltaSharingDatasource",
    "LeRobotDatasource",
    "MCAPDatasource",
    "TimeRange",
    "TurbopufferDatasink",
    "Datasource",
    "DefaultFileMetadataProvider",
    "DummyOutputDatasink",
    "FileBasedDatasource",
    "FileMetadataProvider",
    "FileShuffleConfig",
    "FilenameProvider",
    "PartitionStyle",
    "Partitioning",
    "PathPartitionFilter",
    "PathPartitionParser",
    "RandomIntRowDatasource",
    "ReadTask",
    "Reader",
    "RowBasedFileDatasink",
    "SaveMode",
    "WriteResult",
    "WriteReturnType",
]
