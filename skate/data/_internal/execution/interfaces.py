"""What a datasink is told of its task, and the settings of execution, under the module name that programs written for Ray import."""

from skate.data.context import ExecutionOptions, ExecutionResources
from skate.data.datasource.datasink import TaskContext

__all__ = ["ExecutionOptions", "ExecutionResources", "TaskContext"]
