"""Placement groups: creating them, waiting for them, and ending what runs in one that is removed."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.inline.calls import current, settle
from skate.engine.inline.fiber import current_fiber
from skate.engine.placement.groups import CREATED, REMOVED, Bundle, Group
from skate.engine.placement.resources import unscale
from skate.engine.placement.where import GROUP, Where, check_fits, conditions, group_of, where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skate.core.options import ActorOptions, TaskOptions
    from skate.engine.inline.engine import InlineEngine
    from skate.engine.inline.resources import Holding
    from skate.engine.inline.values import Outcome


class PlacementGroups:
    """The placement groups of a session."""

    def __init__(self, engine: InlineEngine) -> None:
        self.engine = engine
        self.groups = engine.admission.ledger.groups
        engine.admission.on_groups = self.tell
        self._watches: dict[str, list[tuple[ObjectRef[Any], Outcome]]] = {}

    def where(self, options: TaskOptions | ActorOptions, demand: Mapping[str, float], name: str) -> Where:
        """What the options ask of the place.

        Raises:
            ValueError: the placement group can never hold the demand, or has no such bundle.
        """
        call = current.get()
        here = None if call is None else call.actor.where if call.actor is not None else call.where
        captured = here[2] if here is not None and here[0] == GROUP and here[4] else None
        place = where(options, captured)
        if place[0] == GROUP:
            group = group_of(options)[0]
            if group is not None:
                bundles: Sequence[Mapping[str, float]] = group.bundle_specs
            else:
                bundles = [unscale(bundle.demand) for bundle in self.groups.by_id[place[2]].bundles]
            check_fits(demand, bundles, name)
        return place

    def create(self, about: Mapping[str, Any]) -> str:
        """Reserve resources as soon as there are any; the group's id."""
        group = Group(
            secrets.token_hex(14) + "01000000",
            about["bundles"],
            about["strategy"],
            name=about["name"],
            namespace=self.engine.namespace,
            detached=about["detached"],
            selectors=[conditions(selector) for selector in about["selectors"]],
            target=about["target"],
            alike=about["alike"],
        )
        with self.engine.scheduler.lock:
            if not self.groups.create(group):
                raise exceptions.RaySystemError(
                    f"Failed to create placement group {group.id!r} because name {group.name!r} already exists: use another name, "
                    "or get_placement_group() to reach the one that has it."
                )
            self.tell()
        return group.id

    def remove(self, id: str) -> None:
        """Free what a group has reserved, and end what runs in it."""
        with self.engine.scheduler.lock:
            self.groups.remove(id)
            self.tell()

    def ready(self, id: str, value: Any) -> ObjectRef[Any]:
        """A ref that has `value` once the group is created."""
        ref: ObjectRef[Any] = ObjectRef(next(self.engine.keys))
        outcome = self.engine.values.outcome(value)
        with self.engine.scheduler.lock:
            group = self.groups.by_id.get(id)
            state = REMOVED if group is None else group.state
            self._watches.setdefault(id, []).append((ref, outcome))
            if state in (CREATED, REMOVED):
                self._settle(id, state)
        return ref

    def _settle(self, id: str, state: str) -> None:
        for ref, outcome in self._watches.pop(id, ()):
            if state == REMOVED:
                error = exceptions.TaskPlacementGroupRemoved(f"placement group {id} has been removed")
                settle(ref, self.engine.values.error(error))
            else:
                settle(ref, outcome)

    def tell(self) -> None:
        """Act on what the groups have decided (with the lock held)."""
        while self.groups.out:
            what, subject = self.groups.out.pop(0)
            if what == "created":
                self._settle(subject.id, CREATED)
                self.engine.admission.freed()
            elif what == "removed":
                self._settle(subject.id, REMOVED)
                self.groups.freed(subject)
                self._end_all(subject)
                self.engine.admission.freed()
            elif what == "infeasible":
                bundles = [unscale(bundle.demand) for bundle in subject.bundles]
                logging.getLogger("skate").warning(
                    "placement group %s (%s) needs %s, which the one node of this session can never hold: it waits for ever. Ask for "
                    "less, or remove it.",
                    subject.name or subject.id,
                    subject.strategy,
                    bundles,
                )

    def _end_all(self, group: Group) -> None:
        text = "its placement group was removed"
        for actor in list(self.engine.actors.by_key.values()):
            if _in(group, actor.holding):
                self.engine.actors.die(actor, text)
        for call in list(self.engine.calls.values()):
            if call.actor is None and call.started and not call.done and _in(group, call.holding):
                error: exceptions.RayError = exceptions.TaskPlacementGroupRemoved(f"task {call.name}: {text}")
                if call.retries == 0:
                    error = exceptions.WorkerCrashedError(f"Task {call.name} did not end: {text}.")
                call.fail(self.engine.values.error(error))
                if call.fiber is not None and call.fiber is not current_fiber():
                    self.engine.scheduler.doom(call.fiber)


def _in(group: Group, holding: Holding | None) -> bool:
    return holding is not None and isinstance(holding.place, Bundle) and holding.place.group is group
