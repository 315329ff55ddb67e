"""What several actors do together: in compiled graphs (`allreduce.bind`), and in groups declared by the driver.

operations.py    allreduce, allgather, reducescatter: nodes of a compiled graph, or operations of the group that an actor is in
collective.py    groups of actors
communicator.py  what stands for a group
"""

from __future__ import annotations

from skate.experimental.collective.collective import (
    create_collective_group,
    destroy_all_collective_groups,
    destroy_collective_group,
    get_collective_groups,
)
from skate.experimental.collective.operations import allgather, allreduce, reducescatter

__all__ = [
    "allgather",
    "allreduce",
    "create_collective_group",
    "destroy_all_collective_groups",
    "destroy_collective_group",
    "get_collective_groups",
    "reducescatter",
]
