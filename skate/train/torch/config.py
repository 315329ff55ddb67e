"""The process group of PyTorch.

Rank 0 opens the meeting point on a port that its kernel chooses, and keeps it open; only then do the others learn the
port. So nobody can take it in between.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from skate.train.backend import Backend, BackendConfig

__all__ = [
    "TorchConfig",
]

_meeting_point: Any = None


@dataclass
class TorchConfig(BackendConfig):
    """How PyTorch's process group is made.

    Args:
        backend: "gloo", "nccl" or another that PyTorch knows; default: NCCL if the workers hold GPUs, else Gloo.
        init_method: "env" or "tcp"; both mean the same here.
        timeout_s: Seconds after which an operation that not all workers have joined fails.
    """

    backend: str | None = None
    init_method: str = "env"
    timeout_s: int = 1800

    def __post_init__(self) -> None:
        if self.init_method not in ("env", "tcp"):
            raise ValueError(
                f"The provided init_method ({self.init_method}) is not supported. Must be either 'env' or 'tcp'."
            )

    @property
    def backend_cls(self) -> type[Backend]:
        """What makes the group."""
        return _TorchBackend

    @property
    def train_func_context(self) -> Any:
        """The worker's own GPU is PyTorch's present one."""
        return _OwnDevice


class _OwnDevice(AbstractContextManager[None]):
    def __enter__(self) -> None:
        import torch

        from skate.train.torch.train_loop_utils import get_device

        _join_torchrun()
        device = get_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)

    def __exit__(self, *error: object) -> None:
        pass


def _join_torchrun() -> None:
    """Make the process group of a program that torchrun has started, for a run without workers of its own."""
    import torch
    import torch.distributed as dist

    if "TORCHELASTIC_RUN_ID" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


class _TorchBackend(Backend):
    share_cuda_visible_devices = True
    default_backend: str | None = None

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Make the process group."""
        assert isinstance(backend_config, TorchConfig)
        members = worker_group.members
        on_gpus = bool(members[0].gpu_ids)
        backend = backend_config.backend or self.default_backend or ("nccl" if on_gpus else "gloo")
        hosts: dict[str, list[int]] = {}
        for member in members:
            hosts.setdefault(member.node_id, []).extend(member.gpu_ids)
        if on_gpus:
            worker_group.share_gpus({host: sorted(set(gpus)) for host, gpus in hosts.items()})
        alone = len(hosts) == 1
        address, port = worker_group.execute_single(0, _open_meeting_point, alone, backend_config.timeout_s)
        refs = [
            worker_group.execute_single_async(
                rank,
                _join,
                backend=backend,
                address=address,
                port=port,
                timeout_s=backend_config.timeout_s,
                environment={
                    "RANK": str(rank),
                    "WORLD_SIZE": str(len(members)),
                    "LOCAL_RANK": str(member.local_rank),
                    "LOCAL_WORLD_SIZE": str(member.local_world_size),
                    "NODE_RANK": str(member.node_rank),
                    "GROUP_RANK": str(member.node_rank),
                    "GROUP_WORLD_SIZE": str(len(hosts)),
                    "ROLE_RANK": str(rank),
                    "ROLE_WORLD_SIZE": str(len(members)),
                    "ROLE_NAME": "default",
                    "MASTER_ADDR": address,
                    "MASTER_PORT": str(port),
                },
            )
            for rank, member in enumerate(members)
        ]
        worker_group.wait(refs)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Leave the process group."""
        worker_group.execute(_leave)


def _open_meeting_point(alone: bool, timeout_s: int) -> tuple[str, int]:
    """On rank 0: open the meeting point, on loopback if all workers share the host."""
    import socket

    from torch.distributed import TCPStore

    global _meeting_point
    address = "127.0.0.1" if alone else socket.gethostbyname(socket.gethostname())
    listener = socket.socket()
    listener.bind((address, 0))
    listener.listen()
    port = listener.getsockname()[1]
    # The store takes over a socket that listens already: the port is never free in between.
    _meeting_point = TCPStore(
        address,
        port,
        is_master=True,
        wait_for_workers=False,
        timeout=timedelta(seconds=timeout_s),
        master_listen_fd=listener.detach(),
    )
    return address, port


def _join(backend: str, address: str, port: int, timeout_s: int, environment: dict[str, str]) -> None:
    import torch
    import torch.distributed as dist

    global _meeting_point
    os.environ.update(environment)
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")
    torch.set_num_threads(
        int(os.environ["OMP_NUM_THREADS"].split(",")[0])
    )  # it may have been imported before that was set
    timeout = timedelta(seconds=timeout_s)
    if _meeting_point is None:
        _meeting_point = dist.TCPStore(address, port, is_master=False, timeout=timeout)
    dist.init_process_group(
        backend,
        store=dist.PrefixStore("train", _meeting_point),
        rank=int(environment["RANK"]),
        world_size=int(environment["WORLD_SIZE"]),
        timeout=timeout,
    )


def _leave() -> None:
    import torch.distributed as dist

    global _meeting_point
    if dist.is_initialized():
        dist.destroy_process_group()
    _meeting_point = None
