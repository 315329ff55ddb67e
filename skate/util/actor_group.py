"""A set of actors of one class that are called together."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import skate
from skate.util.annotations import Deprecated


@dataclass
class ActorMetadata:
    """Where an actor lives.

    Attributes:
        node_id: Its node's id in hex.
        node_ip: Its node's address.
        hostname: Its machine's name.
        gpu_ids: The GPUs that it has, if any.
    """

    node_id: str
    node_ip: str
    hostname: str
    gpu_ids: list[str] | None


@dataclass
class ActorWrapper:
    """An actor of a group: `actor` is its handle, and `metadata` says where it lives."""

    actor: Any
    metadata: ActorMetadata


def create_executable_class(executable_cls: type | None = None) -> type:
    """A class like `executable_cls` whose instances can also be asked where they are."""
    return type("ExecutableClass", (_Located, executable_cls or object), {})


class _Located:
    """What each actor of a group can tell."""

    def skate_whereabouts(self) -> ActorMetadata:
        """Where this actor lives."""
        import socket

        context = skate.get_runtime_context()
        gpus = [str(gpu) for gpu in skate.get_gpu_ids()]
        return ActorMetadata(
            context.get_node_id(), skate.util.get_node_ip_address(), socket.gethostname(), gpus or None
        )


class ActorGroupMethod:
    """A method of all actors of a group; `remote` calls it on each."""

    def __init__(self, actor_group: ActorGroup, method_name: str) -> None:
        self.actor_group = weakref.proxy(actor_group)
        self._method_name = method_name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse, and say what to do instead."""
        raise TypeError(
            f"ActorGroup methods cannot be called directly. Instead of running 'object.{self._method_name}()', try "
            f"'object.{self._method_name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Call the method on every actor, in order: a list of refs."""
        return [
            getattr(wrapper.actor, self._method_name).remote(*args, **kwargs)
            for wrapper in self.actor_group.actors
        ]


@Deprecated
class ActorGroup:
    """Actors of one class that are made, called and ended together.

    Args:
        actor_cls: The class. Not one that is remote already.
        num_actors: How many.
        num_cpus_per_actor: CPUs that each holds.
        num_gpus_per_actor: GPUs that each holds.
        resources_per_actor: Other resources that each holds.
        init_args: Arguments of the class's constructor.
        init_kwargs: Named arguments of it.

    Raises:
        ValueError: fewer than one actor, or negative resources.

    Example:
        >>> import skate
        >>> from skate.util.actor_group import ActorGroup
        >>> class Adder:
        ...     def __init__(self, base):
        ...         self.base = base
        ...     def add(self, x):
        ...         return self.base + x
        >>> group = ActorGroup(Adder, num_actors=2, num_cpus_per_actor=0, init_args=(10,))
        >>> skate.get(group.add.remote(1))
        [11, 11]
        >>> group.shutdown()
    """

    def __init__(
        self,
        actor_cls: type,
        num_actors: int = 1,
        num_cpus_per_actor: float = 1,
        num_gpus_per_actor: float = 0,
        resources_per_actor: Mapping[str, float] | None = None,
        init_args: Sequence[Any] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if num_actors <= 0:
            raise ValueError(
                f"The provided `num_actors` must be greater than 0. Received num_actors={num_actors} instead."
            )
        if num_cpus_per_actor < 0 or num_gpus_per_actor < 0:
            raise ValueError(
                "The number of CPUs and GPUs per actor must not be negative. Received "
                f"num_cpus_per_actor={num_cpus_per_actor} and num_gpus_per_actor={num_gpus_per_actor}."
            )
        self.actor_cls = actor_cls
        self.num_actors = num_actors
        self.num_cpus_per_actor = num_cpus_per_actor
        self.num_gpus_per_actor = num_gpus_per_actor
        self.resources_per_actor = resources_per_actor
        self.actors: list[ActorWrapper] = []
        self._init_args = tuple(init_args or ())
        self._init_kwargs = dict(init_kwargs or {})
        self._remote_cls = skate.remote(
            num_cpus=num_cpus_per_actor,
            num_gpus=num_gpus_per_actor,
            resources=dict(resources_per_actor or {}),
        )(create_executable_class(actor_cls))
        self.start()

    def __getattr__(self, name: str) -> ActorGroupMethod:
        if name.startswith("__"):
            raise AttributeError(name)
        return ActorGroupMethod(self, name)

    def __len__(self) -> int:
        return len(self.actors)

    def __getitem__(self, item: int) -> ActorWrapper:
        return self.actors[item]

    def start(self) -> None:
        """Make the actors.

        Raises:
            RuntimeError: they have been made already.
        """
        if self.actors:
            raise RuntimeError(
                "The actors have already been started. Please call `shutdown` first to restart them."
            )
        self.add_actors(self.num_actors)

    def shutdown(self, patience_s: float = 5) -> None:
        """End the actors: those that have not ended by themselves after `patience_s` seconds are killed.

        Args:
            patience_s: Seconds that they have to finish their calls; 0 or less kills them at once.
        """
        actors, self.actors = self.actors, []
        if patience_s > 0:
            ended = [wrapper.actor.__ray_terminate__.remote() for wrapper in actors]
            skate.wait(ended, num_returns=len(ended), timeout=patience_s)
        for wrapper in actors:
            skate.kill(wrapper.actor)

    def remove_actors(self, actor_indexes: list[int]) -> None:
        """Let go of the actors with these indexes."""
        self.actors = [wrapper for i, wrapper in enumerate(self.actors) if i not in set(actor_indexes)]

    def add_actors(self, num_actors: int) -> None:
        """Make more actors, and wait until they are there."""
        made = [self._remote_cls.remote(*self._init_args, **self._init_kwargs) for _ in range(num_actors)]
        places = skate.get([actor.skate_whereabouts.remote() for actor in made])
        self.actors += [ActorWrapper(actor, place) for actor, place in zip(made, places, strict=True)]

    @property
    def actor_metadata(self) -> list[ActorMetadata]:
        """Where each actor lives."""
        return [wrapper.metadata for wrapper in self.actors]


__all__ = ["ActorGroup", "ActorGroupMethod", "ActorMetadata", "ActorWrapper", "create_executable_class"]
