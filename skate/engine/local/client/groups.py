"""Placement groups, as one process creates them and waits for them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.ref import BYTES, ERROR, ObjectRef
from skate.engine.local import protocol
from skate.engine.local.client.calls import dump_error
from skate.engine.placement.where import Where, check_fits, conditions, group_of, where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skate.core.options import ActorOptions, TaskOptions
    from skate.engine.local.client.engine import LocalEngine


class Groups:
    """The placement groups that this process has to do with."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.current: Where | None = None
        """In a worker: the place of what runs, if that is a placement group."""

    def where(self, options: TaskOptions | ActorOptions, demand: Mapping[str, float], name: str) -> Where:
        """What the options ask of the place.

        Raises:
            ValueError: the placement group can never hold the demand, or has no such bundle.
        """
        captured = self.captured()
        place = where(options, captured)
        if place[0] == "group":
            group = group_of(options)[0]
            if group is not None:
                bundles: Sequence[Mapping[str, float]] = group.bundle_specs
            else:
                bundles = [*self.table(place[2])[place[2]]["bundles"].values()]
            check_fits(demand, bundles, name)
        return place

    def captured(self) -> str | None:
        """The group that the children of what runs here join."""
        current = self.current
        return current[2] if current is not None and current[4] else None

    def enter(self, place: Where) -> None:
        """In a worker: what runs from now on is placed there."""
        before = self.captured()
        self.current = place if place[0] == "group" else None
        if self.captured() != before:
            self.engine.submit.forget_lanes()

    def create(self, about: Mapping[str, Any]) -> str:
        """Have a group made, and return its id.

        Raises:
            RaySystemError: its name is taken.
        """
        id = secrets.token_hex(14) + "01000000"
        description = {
            "id": id,
            "bundles": [dict(bundle) for bundle in about["bundles"]],
            "strategy": about["strategy"],
            "name": about["name"],
            "namespace": self.engine.namespace,
            "detached": about["detached"],
            "selectors": tuple(conditions(selector) for selector in about["selectors"]),
            "target": about["target"],
            "alike": tuple(about["alike"]),
        }
        if not self.engine.ask(protocol.CREATE_GROUP, description):
            raise exceptions.RaySystemError(
                f"Failed to create placement group {id!r} because name {about['name']!r} already exists: use another name, or "
                "get_placement_group() to reach the one that has it."
            )
        return id

    def remove(self, id: str) -> None:
        """Have a group removed, and what runs in it ended."""
        self.engine.tell(protocol.REMOVE_GROUP, id)

    def find(self, name: str) -> tuple[str, list[dict[str, float]]] | None:
        """The id and the bundles of the group of that name."""
        found: tuple[str, list[dict[str, float]]] | None = self.engine.ask(
            protocol.FIND_GROUP, name, self.engine.namespace
        )
        return found

    def table(self, id: str) -> dict[str, dict[str, Any]]:
        """What is known of one group, or of all."""
        found: dict[str, dict[str, Any]] = self.engine.ask(protocol.GROUP_TABLE, id)
        return found

    def ready(self, id: str, value: Any) -> ObjectRef[Any]:
        """A ref that has `value` once all bundles are reserved, or an error if the group is removed."""
        ref: ObjectRef[Any] = ObjectRef(next(self.engine.keys))
        payload = serialize.pack(value).inline()

        def told(state: str | None) -> None:
            if state == "CREATED":
                self.engine.objects.adopt(ref, BYTES, payload)
                return
            error: exceptions.RayError
            if state is None:
                error = exceptions.RaySystemError(f"the session has ended: {self.engine.ended}")
            else:
                error = exceptions.TaskPlacementGroupRemoved(f"placement group {id} has been removed")
            self.engine.objects.adopt(ref, ERROR, dump_error(error))

        self.engine.ask_later(told, protocol.WATCH_GROUP, id)
        return ref
