"""A machine that runs short of memory: here the limit is below what any machine uses, so that whatever runs is too much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import skate as ray

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT = {"memory_usage_threshold": 0.0, "memory_monitor_refresh_ms": 20}
_PATIENCE = 30.0


@pytest.fixture
def _short_of_memory() -> Iterator[None]:
    with ray.init(num_cpus=1, _system_config=_SHORT):
        yield


@ray.remote
def stay(log: str) -> None:
    """A line for each run; it would stay for long."""
    import time

    with Path(log).open("a") as file:
        file.write("x")
    time.sleep(_PATIENCE)


@pytest.mark.usefixtures("_short_of_memory")
@pytest.mark.parametrize("retries", [0, 2])
def test_a_task_is_ended_and_run_again_until_its_retries_are_spent(tmp_path: Path, retries: int) -> None:
    ref = stay.options(max_retries=retries).remote(str(tmp_path / "log"))
    with pytest.raises(
        ray.exceptions.OutOfMemoryError, match="GB of the machine's .* memory were used"
    ) as caught:
        ray.get(ref, timeout=_PATIENCE)
    assert "memory_usage_threshold" in str(caught.value)
    log = tmp_path / "log"
    assert len(log.read_text() if log.exists() else "") <= retries + 1


@pytest.mark.usefixtures("_short_of_memory")
def test_an_actor_is_ended() -> None:
    @ray.remote
    class Stays:
        def stay(self) -> None:
            import time

            time.sleep(_PATIENCE)

    actor: Any = Stays.remote()
    with pytest.raises(ray.exceptions.OutOfMemoryError, match="Stays actor was ended"):
        ray.get(actor.stay.remote(), timeout=_PATIENCE)


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_usage_threshold=2"):
        ray.init(num_cpus=1, _system_config={"memory_usage_threshold": 2})
    assert not ray.is_initialized()
