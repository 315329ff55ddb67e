"""What is written about each trial."""

from __future__ import annotations

from skate.tune.logger.csv import CSVLoggerCallback
from skate.tune.logger.json import JsonLoggerCallback
from skate.tune.logger.logger import LoggerCallback, pretty_print
from skate.tune.logger.tensorboardx import TBXLoggerCallback

__all__ = ["CSVLoggerCallback", "JsonLoggerCallback", "LoggerCallback", "TBXLoggerCallback", "pretty_print"]
