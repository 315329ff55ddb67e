"""Actors: creating them, finding them, ending them."""

from __future__ import annotations

import pickle
import weakref
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.actor import ActorMeta, ActorState, ClassSpec
from skate.core.options import ActorOptions, MethodOptions
from skate.core.ref import STORED, ObjectRef
from skate.engine.local import protocol
from skate.engine.local.client.calls import slot
from skate.engine.local.client.objects import ACTOR, Guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skate.engine.local.client.calls import Call
    from skate.engine.local.client.engine import LocalEngine
    from skate.engine.local.client.exports import Exported

_plain_methods = MethodOptions(num_returns=1)


class Creation:
    """The actors that this process creates or looks up."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def create(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        if spec.exported is None or spec.exported.engine != self.engine.number:
            self.engine.exports.prepare(spec)
        exported: Exported = spec.exported
        key = next(self.engine.keys)
        ordered = (
            not spec.is_asyncio and (options.max_concurrency or 1) == 1 and not options.concurrency_groups
        )
        meta = ActorMeta(
            spec.name, spec.module, spec.methods, options.max_task_retries, options.max_pending_calls, ordered
        )
        call = self.engine.submit.pack(spec, _plain_methods, args, kwargs)
        concurrency = options.max_concurrency or (1000 if spec.is_asyncio else 1)
        groups = dict(options.concurrency_groups or {})
        nested = [item._key if isinstance(item, ObjectRef) else item.key for item in _nested_of(call)]
        namespace = options.namespace or self.engine.namespace
        packed_meta = meta.packed()
        payload = exported.payload
        if isinstance(payload, int):
            nested.append(payload)
        if call.flag == protocol.ARGS_STORED:
            nested.append(call.args)
        about = {
            "name": options.name or "",
            "namespace": namespace,
            "detached": options.lifetime == "detached",
            "max_restarts": options.max_restarts,
            "creation_demand": dict(options.creation_demand()),
            "running_demand": dict(options.running_demand()),
            "env": self.engine.submit.env(options.runtime_env),
            "where": self.engine.groups.where(options, options.creation_demand(), spec.name),
            "class_name": spec.name,
            "meta": packed_meta,
            "nested": tuple(nested),
            "host": (
                exported.number,
                spec.name,
                payload,
                call.flag,
                call.args,
                concurrency,
                groups,
                spec.is_asyncio,
                packed_meta,
                options.generator_backpressure,
            ),
        }
        state = ActorState(key, meta)
        with self.engine.loop.mutex:
            if self.engine.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.engine.ended}")
            self.engine.node.send((protocol.PUBLISH, key, ACTOR, None, ()))
            state._guard = Guard(self.engine.objects.drop, key)
            self.engine.objects.actors[key] = weakref.ref(state)
            self.engine.actor_calls.link(state, mine=True)
            self.engine.actor_calls.creating[key] = state
        if options.name:
            # The name is taken at once, even if the constructor's arguments are still to come.
            taken = self.engine.ask(protocol.CREATE_ACTOR, key, about)
            if taken is not None:
                with self.engine.loop.mutex:
                    self.engine.actor_calls.creating.pop(key)
                if not options.get_if_exists:
                    raise exceptions.ActorAlreadyExistsError(
                        f"The name {options.name} (namespace={namespace}) is already taken by a live actor. Use another name, "
                        "get_actor() to reach the one that has it, or get_if_exists=True."
                    )
                return self.restore(taken[0], pickle.loads(taken[1]))
        with self.engine.loop.mutex:
            if not options.name:
                self.engine.node.send((protocol.CREATE_ACTOR, 0, key, about))
            self.engine.submit.when_ready(call, lambda: self._start_actor(key, call))
            self.engine.flush_all()
        self.engine.loop.nudge()
        return state

    def _start_actor(self, key: int, call: Call) -> None:
        """The constructor's arguments are there: the actor can be placed (with the mutex held)."""
        self.engine.actor_calls.creating.pop(key, None)
        slots = None
        held: list[int] = []
        if call.slots:
            self.engine.submit.name_inner_refs(call)
            slots = [slot(ref) for ref in call.slots]
            held = [key for kind, key in slots if kind == STORED]
            for ref in call.slots:
                if type(ref._guard) is list:
                    held += [item._key if isinstance(item, ObjectRef) else item.key for item in ref._guard]
        self.engine.node.send((protocol.START_ACTOR, key, slots, tuple(held)))
        self.engine.loop.dirty.add(self.engine.node)

    def kill(self, actor: ActorState, no_restart: bool) -> None:
        self.engine.tell(protocol.KILL_ACTOR, actor.key, no_restart)
        if no_restart:
            # The caller may rely on the actor being unreachable from now on.
            self.engine.ask(protocol.SYNC)

    def find(self, name: str, namespace: str | None) -> ActorState:
        space = namespace or self.engine.namespace
        found = self.engine.ask(protocol.FIND_ACTOR, name, space)
        if found is None:
            raise ValueError(
                f"Failed to look up actor with name {name!r}: no live actor has it in namespace {space!r}. Was it created with "
                "options(name=…), in that namespace, and is somebody holding a handle to it (or is it detached)?"
            )
        return self.restore(found[0], pickle.loads(found[1]))

    def named(self, all_namespaces: bool) -> list[tuple[str, str]]:
        found = [(space, name) for space, name in self.engine.ask(protocol.INFO, "actors")]
        return found if all_namespaces else [pair for pair in found if pair[0] == self.engine.namespace]

    def restore(self, key: int, meta: Any) -> ActorState:
        with self.engine.loop.mutex:
            known = self.engine.objects.actors.get(key)
            state = known() if known is not None else None
            if state is None:
                state = ActorState(key, meta)
                state._guard = Guard(self.engine.objects.drop, key)
                self.engine.objects.actors[key] = weakref.ref(state)
                self.engine.objects.adds.append(key)
            return state


def _nested_of(call: Call) -> list[Any]:
    held = call.held
    if held is None:
        return []
    if isinstance(held, tuple):
        return list(held[1])
    return list(held)
