"""From a graph of nodes to what each actor does: checks first, then slots, steps and who sends what to whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import skate
from skate.dag import _scan
from skate.dag import constants as keys
from skate.dag._stage import DRIVER, Plan, Step, Taken
from skate.dag.base import DAGNodeBase
from skate.dag.class_node import ClassMethodNode
from skate.dag.collective_node import CollectiveOutputNode
from skate.dag.function_node import FunctionNode
from skate.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from skate.dag.output_node import MultiOutputNode

if TYPE_CHECKING:
    from skate.dag.dag_node import DAGNode

INPUT_SLOT = 0
"""The slot of what the driver sends: the part of the input that the reader needs, or a tuple of several."""


@dataclass
class GraphPlan:
    """A compiled graph.

    Attributes:
        actors: Handles, by number.
        plans: What each of them does.
        outputs: For each of the graph's results: its slot, and the number of the actor that sends it.
        inputs: For each actor that reads the input: which parts, as keys, or None for the whole of it.
        single: Whether the graph has one result rather than a list.
        positional: How many positional arguments an execution needs.
        keywords: Which keyword arguments.
    """

    actors: list[Any] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    outputs: list[tuple[int, int]] = field(default_factory=list)
    inputs: dict[int, list[Any]] = field(default_factory=dict)
    single: bool = True
    positional: int = 0
    keywords: tuple[str, ...] = ()

    def check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make sure that an execution is given what the graph takes.

        Raises:
            ValueError: arguments are missing or too many.
        """
        if len(args) != self.positional:
            raise ValueError(
                f"dag.execute() or dag.execute_async() must be called with {self.positional} positional args, got {len(args)}"
            )
        for name in self.keywords:
            if name not in kwargs:
                raise ValueError(f"dag.execute() or dag.execute_async() must be called with kwarg `{name}`")

    def input_for(self, actor: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What an actor needs of an execution's input: a part, or a tuple of several."""
        wanted = self.inputs[actor]
        if len(wanted) == 1:
            return self._part(wanted[0], args, kwargs)
        return tuple(self._part(key, args, kwargs) for key in wanted)

    @staticmethod
    def _part(key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if key is None:
            return args[0] if len(args) == 1 and not kwargs else DAGInputData(*args, **kwargs)
        return args[key] if isinstance(key, int) else kwargs[key]


def make_plan(output: DAGNode) -> GraphPlan:
    """The plan of the graph that ends in `output`.

    Raises:
        AssertionError: it has two `InputNode`s.
        ValueError: the graph can't be compiled; the message says why.
        NotImplementedError: it has nodes other than method calls.
    """
    order = [node for node in output._order() if not isinstance(node, MultiOutputNode)]
    results: list[Any] = list(output.get_args()) if isinstance(output, MultiOutputNode) else [output]
    inputs = _check(output, order, results)
    calls = [node for node in order if isinstance(node, ClassMethodNode)]
    # An actor makes its calls in the order in which they were bound: every call is bound after those that it needs.
    calls.sort(key=lambda node: _call_of(node).get_other_args_to_resolve()[keys.BIND_INDEX_KEY])

    plan = GraphPlan(single=not isinstance(output, MultiOutputNode))
    numbers: dict[Any, int] = {}
    for node in calls:
        handle = _actor_of(node)
        if handle not in numbers:
            numbers[handle] = len(plan.actors)
            plan.actors.append(handle)
            plan.plans.append(Plan(numbers[handle]))
    slots = {node.get_stable_uuid(): slot for slot, node in enumerate(calls, start=1)}
    makers = {node.get_stable_uuid(): numbers[_actor_of(node)] for node in calls}
    readers: dict[int, list[int]] = {slot: [] for slot in slots.values()}

    def needed_by(number: int, arg: Any) -> Any:
        if isinstance(arg, InputNode | InputAttributeNode):
            part = None if isinstance(arg, InputNode) else arg.key
            parts = plan.inputs.setdefault(number, [])
            if part not in parts:
                parts.append(part)
            plan.plans[number].source[INPUT_SLOT] = DRIVER
            return Taken(INPUT_SLOT, parts.index(part))
        if not isinstance(arg, DAGNodeBase):
            return arg
        slot, maker = slots[arg.get_stable_uuid()], makers[arg.get_stable_uuid()]  # type: ignore[attr-defined]
        if maker != number:
            plan.plans[number].source[slot] = maker
            if number not in readers[slot]:
                readers[slot].append(number)
        return Taken(slot)

    for node in calls:
        number = makers[node.get_stable_uuid()]
        call = _call_of(node)
        step = Step(
            slots[node.get_stable_uuid()],
            call.get_method_name(),
            (),
            {},
            num_returns=call.num_returns,
            device="default" if node.type_hint is None else node.type_hint.device,
        )
        if node.is_class_method_output:
            step.output_of = slots[call.get_stable_uuid()]
            step.output_idx = node.output_idx or 0
            step.args = (Taken(step.output_of),)
        else:
            if isinstance(node, CollectiveOutputNode):
                step.collective = node.collective
            step.args = tuple(needed_by(number, arg) for arg in node.get_args())
            step.kwargs = {name: needed_by(number, arg) for name, arg in node.get_kwargs().items()}
        plan.plans[number].steps.append(step)
    for result in results:
        slot, maker = slots[result.get_stable_uuid()], makers[result.get_stable_uuid()]
        plan.outputs.append((slot, maker))
        if DRIVER not in readers[slot]:
            readers[slot].append(DRIVER)
    for number, parts in plan.inputs.items():
        if len(parts) == 1:
            plan.plans[number].steps = [_unwrapped(step) for step in plan.plans[number].steps]
    _connect(plan, readers)
    _count_arguments(plan, inputs)
    return plan


def _unwrapped(step: Step) -> Step:
    """The step of an actor that needs one part of the input, and so is sent it as it is."""

    def change(arg: Any) -> Any:
        return Taken(INPUT_SLOT) if type(arg) is Taken and arg.slot == INPUT_SLOT else arg

    step.args = tuple(change(arg) for arg in step.args)
    step.kwargs = {name: change(arg) for name, arg in step.kwargs.items()}
    return step


def _connect(plan: GraphPlan, readers: dict[int, list[int]]) -> None:
    for actor in plan.plans:
        peers = set(actor.source.values())
        for step in actor.steps:
            step.readers = tuple(readers[step.slot])
            peers.update(step.readers)
        actor.peers = sorted(peers)
    for actor in plan.plans:  # both ends know of a connection
        for peer in actor.peers:
            if peer != DRIVER and actor.number not in plan.plans[peer].peers:
                plan.plans[peer].peers = sorted([*plan.plans[peer].peers, actor.number])


def _count_arguments(plan: GraphPlan, inputs: Iterable[DAGNode]) -> None:
    positions = [
        node.key for node in inputs if isinstance(node, InputAttributeNode) and isinstance(node.key, int)
    ]
    names = [
        node.key for node in inputs if isinstance(node, InputAttributeNode) and isinstance(node.key, str)
    ]
    plan.keywords = tuple(dict.fromkeys(names))
    plan.positional = max(positions) + 1 if positions else (0 if names else 1)


def _call_of(node: ClassMethodNode) -> ClassMethodNode:
    return node.class_method_call or node


def _actor_of(node: ClassMethodNode) -> Any:
    return node.get_other_args_to_resolve()[keys.PARENT_CLASS_NODE_KEY]


def _check(output: DAGNode, order: list[DAGNode], results: list[Any]) -> list[DAGNode]:
    """Make sure that the graph can be compiled. Returns the nodes that stand for its input."""
    inputs: list[DAGNode] = [node for node in order if isinstance(node, InputNode | InputAttributeNode)]
    if sum(isinstance(node, InputNode) for node in order) > 1:
        raise AssertionError(
            "More than one InputNode found: a graph takes its arguments apart as given[0], given.name."
        )
    for node in order:
        hint = node.type_hint
        if hint is not None and hint.transport in ("nccl", "accelerator"):
            raise ValueError(
                f"with_tensor_transport({hint.transport!r}): compiled graphs move tensors through shared memory alone, not from "
                "GPU to GPU. Ask for 'auto' or 'shm'; device='gpu' puts them on the reader's GPU."
            )
        if isinstance(node, FunctionNode):
            raise NotImplementedError(
                f"Compiled DAGs currently only support actor method nodes, and the graph has a task: {node.body_line()}. Make it "
                "a method, or run the graph with execute() alone."
            )
        if isinstance(node, ClassMethodNode):
            _check_call(node)
    for result in results:
        if not isinstance(result, ClassMethodNode):
            raise ValueError(f"A compiled graph's result is a method call's, and {result!r} is none.")
    whole = [node for node in inputs if isinstance(node, InputNode)]
    for given in whole:
        given.check_context()
        used = {node.key for node in inputs if isinstance(node, InputAttributeNode)}
        unused = [key for key in given.input_attribute_nodes if key not in used]
        if unused:
            raise ValueError(
                f"Compiled Graph expects input to be accessed using all of attributes {list(given.input_attribute_nodes)}, but "
                f"{unused} is unused."
            )
    inside = {node.get_stable_uuid() for node in (*order, output)}
    leaves = {
        later.get_stable_uuid(): later
        for node in order
        for later in node.readers
        if later.get_stable_uuid() not in inside and isinstance(later, ClassMethodNode)
    }
    if leaves:
        names = [_call_of(leaf).get_method_name() for leaf in leaves.values()]
        raise ValueError(
            "Compiled DAG doesn't support leaf nodes, i.e., nodes that don't have downstream nodes and are not output nodes. "
            f"There are {len(leaves)} leaf nodes in the DAG. Please add the outputs of {names} to the the MultiOutputNode."
        )
    if any(isinstance(node, InputAttributeNode) for node in inputs):
        return [node for node in inputs if isinstance(node, InputAttributeNode)]
    return inputs


def _check_call(node: ClassMethodNode) -> None:
    if not isinstance(_actor_of(node), skate.actor.ActorHandle):
        raise ValueError(
            "Compiled DAGs can only bind methods to an actor that is already created with Actor.remote(), and "
            f"{node.get_method_name()}() is bound to {_actor_of(node)!r}."
        )
    if node.is_class_method_output:
        return
    given = [*node.get_args(), *node.get_kwargs().values()]
    for arg in given:
        found = [] if isinstance(arg, DAGNodeBase) else _scan.find(arg, DAGNodeBase)
        if found:
            raise ValueError(
                f"Found {len(found)} DAGNodes from the arg {arg!r} in {node}. Please ensure that the argument is a single DAGNode "
                "and that a DAGNode is not allowed to be placed inside any type of container."
            )
    if not any(isinstance(arg, DAGNodeBase) for arg in given):
        raise ValueError(
            f"No InputNode found in the DAG: when traversing upwards, no upstream node was found for {node}."
        )
