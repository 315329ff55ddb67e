"""The private names that libraries import do what they say."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
import skate.compat
from tests.support import REPO


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    skate.compat.install()
    try:
        yield importlib.import_module("ray")
    finally:
        skate.compat.uninstall()


@pytest.fixture
def session(ray: Any) -> Iterator[Any]:
    with ray.init(num_cpus=2, namespace="private") as context:
        yield context


def test_global_worker_says_what_the_context_says(ray: Any, session: Any) -> None:
    worker = ray._private.worker.global_worker
    assert worker is ray.worker.global_worker is ray.get_runtime_context().worker

    @ray.remote
    class Actor:
        def ask(self) -> tuple[Any, ...]:
            here = ray._private.worker.global_worker
            return here.mode, here.actor_id.hex(), here.current_task_id.hex(), here.node.unique_id

        def context(self) -> Any:
            return ray.get_runtime_context().get_actor_id()

    actor = Actor.remote()
    mode, actor_id, task_id, node_id = ray.get(actor.ask.remote())
    assert (mode, worker.mode) == (ray.WORKER_MODE, ray.SCRIPT_MODE)
    assert actor_id == ray.get(actor.context.remote())
    assert len(task_id) == 48 and worker.current_task_id.is_nil() and worker.actor_id.is_nil()
    assert node_id == worker.node.unique_id == worker.current_node_id.hex()
    assert worker.connected and worker.namespace == "private"
    assert worker.current_job_id.hex() == ray.get_runtime_context().get_job_id()
    assert ray.worker._global_node.address_info["session_dir"] == session["session_dir"]
    assert ray.get(worker.put_object(3)) == 3
    assert worker.get_objects([ray.put(4)])[0] == [4]


def test_global_worker_knows_when_there_is_no_session(ray: Any) -> None:
    worker = ray._private.worker.global_worker
    assert not worker.connected and worker.mode is None and worker.node is None
    with pytest.raises(ray.exceptions.RaySystemError):
        worker.check_connected()


def test_state_and_services(ray: Any, session: Any) -> None:
    state = importlib.import_module("ray._private.state")
    services = importlib.import_module("ray._private.services")
    assert ray.state is state
    assert [f"node:{services.get_node_ip_address()}"] == [state.current_node_id()]
    assert state.current_node_id() in state.node_ids()
    (total,) = state.total_resources_per_node().values()
    assert total["CPU"] == state.state.cluster_resources()["CPU"] == 2
    assert state.available_resources_per_node() == state.state.available_resources_per_node()
    (free,) = state.available_resources_per_node().values()
    assert free["CPU"] == 2


def test_addresses_and_small_helpers(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = importlib.import_module("ray._common.network_utils")
    for host in ("127.0.0.1", "::1", "example.org"):
        assert network.parse_address(network.build_address(host, 80)) == (host, "80")
    assert network.parse_address("::1") is network.parse_address("example.org") is None
    assert network.is_ipv6("::1") and not network.is_ipv6("1.2.3.4") and not network.is_ipv6("localhost")
    assert network.is_localhost("localhost") and not network.is_localhost("1.2.3.4")
    assert network.find_free_port() > 0
    utils = importlib.import_module("ray._common.utils")
    assert utils.import_attr("os.path:join") is utils.load_class("os.path.join") is os.path.join
    with pytest.raises(ValueError, match="module"):
        utils.import_attr("join")
    assert utils.hex_to_binary(utils.binary_to_hex(b"ab")) == b"ab"
    assert len(utils.get_random_alphanumeric_string(7)) == 7
    monkeypatch.setenv("SWITCH", "1")
    assert (
        utils.env_bool("SWITCH", False)
        and utils.env_integer("SWITCH", 5) == utils.env_float("SWITCH", 5.0) == 1
    )
    assert utils.env_integer("NO_SWITCH", 5) == 5


def test_cloudpickle_is_the_pickler_in_use(ray: Any) -> None:
    pickle = importlib.import_module("ray.cloudpickle")
    assert pickle.loads(pickle.dumps(lambda x: x + 1))(2) == 3


def test_decorators_of_the_client_change_nothing(ray: Any) -> None:
    hook = importlib.import_module("ray._private.client_mode_hook")
    assert hook.client_mode_hook(len) is hook.client_mode_wrap(len) is len
    assert not hook.client_mode_should_convert()
    with hook.disable_client_hook():
        pass


def test_ids_are_had_from_the_compiled_modules_path(ray: Any) -> None:
    raylet = importlib.import_module("ray._raylet")
    assert raylet.ObjectRef is ray.ObjectRef
    assert raylet.PlacementGroupID is ray.PlacementGroupID


def test_every_private_module_is_on_the_page() -> None:
    page = (REPO / "docs" / "compatibility.md").read_text()
    for module in (REPO / "skate" / "_common").glob("[!_]*.py"):
        assert f"ray._common.{module.stem}" in page
    for module in (REPO / "skate" / "_private").glob("[!_]*.py"):
        assert f"ray._private.{module.stem}" in page or f"ray.{module.stem}" in page
    rows = [line for line in page.splitlines() if line.startswith("| `ray.")]
    inner = [
        *(REPO / "skate").glob("**/_internal/**/*.py"),
        *(REPO / "skate" / "air").glob("**/[!_]*.py"),
    ]
    assert len(inner) > 20
    for module in inner:
        parts = ("ray", *module.relative_to(REPO / "skate").with_suffix("").parts)
        if parts[-1] == "__init__" or "resources" in parts:
            continue  # a folder is named by its modules; air.execution stands for what is in it
        parent, last = ".".join(parts[:-1]), parts[-1]
        # Either the whole path, or a row that begins with its folder and goes on with the module as `.name`.
        assert any(
            f"`{parent}.{last}" in row or (f"`{parent}" in row and f"`.{last}`" in row) for row in rows
        ), f"docs/compatibility.md lacks a row for {parent}.{last}"


@pytest.mark.parametrize(
    ("module", "name", "own"),
    [
        ("csv_datasource", "CSVDatasource", "csv"),
        ("csv_datasink", "CSVDatasink", "csv"),
        ("parquet_datasource", "ParquetDatasource", "parquet"),
        ("parquet_datasink", "ParquetDatasink", "parquet_datasink"),
        ("range_datasource", "RangeDatasource", "datasource"),
        ("audio_datasource", "AudioDatasource", "media"),
        ("databricks_credentials", "StaticCredentialProvider", "databricks"),
    ],
)
def test_datasources_have_rays_paths(ray: Any, module: str, name: str, own: str) -> None:
    theirs = importlib.import_module(f"ray.data._internal.datasource.{module}")
    assert getattr(theirs, name) is getattr(importlib.import_module(f"skate.data.datasource.{own}"), name)


@pytest.mark.parametrize(
    ("module", "name", "own"),
    [
        ("ray.data._internal.execution.interfaces", "TaskContext", "skate.data.datasource.datasink"),
        ("ray.data._internal.savemode", "SaveMode", "skate.data.options"),
        ("ray.data._internal.random_config", "RandomSeedConfig", "skate.data.options"),
        ("ray.data._internal.compute", "ActorPoolStrategy", "skate.data.execution.strategies"),
        ("ray.air.data_batch_type", "DataBatchType", "skate.data.collate_fn"),
        ("ray.air", "DataBatchType", "skate.data.collate_fn"),
    ],
)
def test_what_sinks_and_functions_on_batches_import_is_there(
    ray: Any, module: str, name: str, own: str
) -> None:
    assert getattr(importlib.import_module(module), name) is getattr(importlib.import_module(own), name)


def test_paths_are_resolved_as_readers_do(ray: Any) -> None:
    util = importlib.import_module("ray.data.datasource.path_util")
    paths, _ = util._resolve_paths_and_filesystem("local:///a/b.csv")
    assert paths == ["/a/b.csv"] and util._unwrap_protocol("s3://b/k") == "b/k"
    assert util._has_file_extension("x.CSV", ["csv"]) and not util._has_file_extension("x.csv", ["json"])
    assert util._is_http_url("https://h/x") and not util._is_http_url("s3://h/x")
    with pytest.raises(ModuleNotFoundError, match="ray.data._internal.datasource.none_datasource"):
        importlib.import_module("ray.data._internal.datasource.none_datasource")


def test_private_helpers_tell_of_the_machine_and_the_process(ray: Any, tmp_path: Path) -> None:
    utils = importlib.import_module("ray._private.utils")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"12345")
    assert utils.get_directory_size_bytes(tmp_path) == 5
    assert utils.get_num_cpus() >= 1 and utils.get_system_memory() > 0 and utils.get_user()
    assert utils.is_main_thread() and utils.ensure_str(b"a") == utils.ensure_str("a") == "a"
    assert utils.split_address("ray://here:1") == ("ray", "here:1")
    with pytest.raises(ValueError, match="://"):
        utils.split_address("here:1")
