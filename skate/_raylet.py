"""Ids and refs under the name of Ray's compiled module, from which some libraries import them."""

from __future__ import annotations

from skate.core.ids import (
    ActorClassID,
    ActorID,
    BaseID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from skate.core.ref import DynamicObjectRefGenerator, ObjectRef, ObjectRefGenerator

__all__ = [
    "ActorClassID",
    "ActorID",
    "BaseID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "NodeID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
]
