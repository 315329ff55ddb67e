"""Graphs of calls, with the names of `ray.dag`: written down with `.bind(...)`, made with `.execute(...)`.

    DAGNode                      what all nodes share: traversal, execute           dag_node.py
    FunctionNode                 a task                                             function_node.py
    ClassNode, ClassMethodNode   an actor, a call of its method                     class_node.py
    CollectiveOutputNode         what an actor gets of an allreduce and its kin     collective_node.py
    InputNode                    what `execute` will be given                       input_node.py
    MultiOutputNode              several results                                    output_node.py
    CompiledDAG                  a graph set up for repeated execution              compiled_dag_node.py
    DAGContext                   defaults of compiled graphs                        context.py

Everything here uses the public API of `skate` alone, so it runs on every engine.

How a compiled graph works: `_plan.py` turns the nodes into steps for each actor; `_runners.py` connects the processes with socket
pairs, and begins and ends executions; `_stage.py` is the loop that an actor runs; `_channel.py` carries values, large ones in
shared memory. The end of a connection is the one signal: of teardown, and of a process that died.
"""

from __future__ import annotations

from skate.dag.class_node import ClassMethodNode, ClassNode
from skate.dag.collective_node import CollectiveOutputNode
from skate.dag.constants import (
    BIND_INDEX_KEY,
    COLLECTIVE_OPERATION_KEY,
    DAGNODE_TYPE_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from skate.dag.context import DAGContext
from skate.dag.dag_node import DAGNode
from skate.dag.function_node import FunctionNode
from skate.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from skate.dag.output_node import MultiOutputNode
from skate.dag.vis_utils import plot

__all__ = [
    "BIND_INDEX_KEY",
    "COLLECTIVE_OPERATION_KEY",
    "DAGNODE_TYPE_KEY",
    "IS_CLASS_METHOD_OUTPUT_KEY",
    "PARENT_CLASS_NODE_KEY",
    "PREV_CLASS_METHOD_CALL_KEY",
    "ClassMethodNode",
    "ClassNode",
    "CollectiveOutputNode",
    "DAGContext",
    "DAGInputData",
    "DAGNode",
    "FunctionNode",
    "InputAttributeNode",
    "InputNode",
    "MultiOutputNode",
    "plot",
]
