"""How the processes of a JAX program find one another: at the coordinator that rank 0 starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from skate.train._ports import reserve, reserved
from skate.train.backend import Backend, BackendConfig

__all__ = [
    "JaxConfig",
]


@dataclass
class JaxConfig(BackendConfig):
    """Which devices JAX's processes use.

    Args:
        use_tpu: Whether they are TPUs.
        use_gpu: Whether they are GPUs. Without either they are CPUs, one a worker.
    """

    use_tpu: bool = False
    use_gpu: bool = False

    @property
    def backend_cls(self) -> type[Backend]:
        """What makes one program of the processes."""
        return _JaxBackend


class _JaxBackend(Backend):
    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Start the coordinator in rank 0, and join it from everywhere."""
        assert isinstance(backend_config, JaxConfig)
        platform = "tpu" if backend_config.use_tpu else "cuda" if backend_config.use_gpu else "cpu"
        alone = len({member.node_id for member in worker_group.members}) == 1
        host, port = worker_group.execute_single(0, reserve, alone)
        coordinator = f"{host}:{port}"
        worker_group.wait(
            [
                worker_group.execute_single_async(
                    rank, _join, coordinator, len(worker_group), rank, platform, member.local_rank
                )
                for rank, member in enumerate(worker_group.members)
            ]
        )

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Take the program apart."""
        worker_group.execute(_leave)


def _join(coordinator: str, processes: int, rank: int, platform: str, local_rank: int) -> None:
    os.environ.setdefault("JAX_PLATFORMS", platform if platform == "cpu" else f"{platform},cpu")
    import jax

    if platform == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    reserved.release()  # rank 0 opens it now
    jax.distributed.initialize(
        coordinator_address=coordinator,
        num_processes=processes,
        process_id=rank,
        local_device_ids=[local_rank] if platform == "cuda" else None,
    )


def _leave() -> None:
    import jax

    jax.distributed.shutdown()
