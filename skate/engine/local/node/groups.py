"""Placement groups at the node: for those who create them, wait for them and ask about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.placement.groups import CREATED, REMOVED, Group
from skate.engine.placement.resources import unscale

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server


class Groups:
    """Carries out what the pure `placement.groups.Groups` decides."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._watches: dict[str, list[tuple[int, int]]] = {}
        """By group: (client, request) of those who wait until it is there."""

    # -- messages ----------------------------------------

    def create(self, process: Process, request: int, about: dict[str, Any]) -> None:
        """Register a group; the answer is False if its name is taken."""
        group = Group(
            about["id"],
            about["bundles"],
            about["strategy"],
            name=about["name"],
            namespace=about["namespace"],
            detached=about["detached"],
            creator=process.number if process.is_driver else 0,
            selectors=about["selectors"],
            target=about["target"],
            alike=about["alike"],
        )
        self._reply(process.number, request, self.server.scheduler.create_group(group))

    def watch(self, process: Process, request: int, id: str) -> None:
        """Answer with the group's state once it is created or removed."""
        group = self.server.scheduler.groups.by_id.get(id)
        state = REMOVED if group is None else group.state
        if state in (CREATED, REMOVED):
            self._reply(process.number, request, state)
        else:
            self._watches.setdefault(id, []).append((process.number, request))

    def table(self, process: Process, request: int, id: str) -> None:
        """Answer what is known of one group, or of all."""
        self._reply(process.number, request, self.server.scheduler.groups.table(id))

    def find(self, process: Process, request: int, name: str, namespace: str) -> None:
        """Answer the id and the bundles of the group of that name."""
        group = self.server.scheduler.groups.find(name, namespace)
        answer = None
        if group is not None:
            answer = (group.id, [unscale(bundle.demand) for bundle in group.bundles])
        self._reply(process.number, request, answer)

    # -- instructions ----------------------------------------

    def carry_out(self, what: str, subject: Any) -> None:
        """Tell of what has become of a group."""
        if what == "group_created":
            self._tell(subject, CREATED)
        elif what == "group_removed":
            self._tell(subject, REMOVED)
        elif what == "group_infeasible":
            bundles = [unscale(bundle.demand) for bundle in subject.bundles]
            self.server.leases.warn_once(
                f"placement group {subject.name or subject.id} ({subject.strategy}) needs {bundles}, which the nodes that there are "
                "can never hold: it waits until nodes are added. Ask for less, or remove it."
            )

    def _tell(self, group: Group, state: str) -> None:
        for client, request in self._watches.pop(group.id, ()):
            self._reply(client, request, state)

    def _reply(self, client: int, request: int, answer: Any) -> None:
        self.server.connections.send(client, (protocol.REPLY, request, answer))
