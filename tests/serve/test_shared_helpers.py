"""What test suites written for Ray Serve use to look at an instance."""

from __future__ import annotations

import httpx
import pytest

import skate
from skate import serve
from skate.serve._private import test_utils
from skate.serve._private.client import ServeControllerClient
from skate.serve._private.common import DeploymentStatus
from skate.serve.context import _get_global_client
from skate.serve.exceptions import RayServeException
from skate.serve.schema import ServeDeploySchema
from tests.serve.conftest import until


def test_the_global_client_manages_the_instance(instance: None) -> None:
    client = _get_global_client()
    assert isinstance(client, ServeControllerClient)
    serve.run(test_utils.GetPID.bind(), name="one", route_prefix="/one")
    url = test_utils.get_application_url("HTTP", "one")
    assert url.endswith("/one")
    assert httpx.get(url).json() > 0
    status = client.get_serve_status("one")
    assert status.app_status.status == "RUNNING"
    assert status.get_deployment_status("GetPID").status == DeploymentStatus.HEALTHY
    assert client.get_serve_status("none").app_status.status == "NOT_STARTED"
    assert client.get_serve_details()["applications"]["one"]["status"] == "RUNNING"
    assert client.get_handle("GetPID", "one").remote().result() > 0
    client.delete_all_apps()
    assert serve.status().applications == {}
    client.deploy_apps(ServeDeploySchema(applications=[]))


def test_checks_hold_or_say_what_is(instance: None) -> None:
    serve.run(test_utils.GetPID.options(num_replicas=2).bind())
    assert test_utils.check_running()
    assert test_utils.check_apps_running(["default"])
    assert test_utils.check_deployment_status("GetPID", DeploymentStatus.HEALTHY)
    assert test_utils.check_num_replicas_eq("GetPID", 2)
    assert test_utils.check_num_replicas_eq("GetPID", 2, use_controller=True)
    assert test_utils.check_num_replicas_gte("GetPID", 1)
    with pytest.raises(AssertionError, match="2 replicas"):
        test_utils.check_num_replicas_lte("GetPID", 1)
    assert test_utils.request_with_retries().status_code == 200
    until(lambda: test_utils.get_metric_float("serve_num_http_requests", {"route": "/"}) == 1)
    assert test_utils.check_num_alive_nodes(1)


def test_without_an_instance(session: None) -> None:
    assert _get_global_client(raise_if_no_controller_running=False) is None
    with pytest.raises(RayServeException, match="no Serve instance"):
        _get_global_client()


def test_actors_to_meet_at(session: None) -> None:
    counter = test_utils.Counter.remote(2)
    waits = counter.wait.remote()
    skate.get([counter.inc.remote(), counter.inc.remote(), waits])
    barrier = test_utils.Barrier.remote(2)
    skate.get([barrier.wait.remote(), barrier.wait.remote()])
    items = test_utils.Accumulator.remote()
    skate.get(items.add.remote(1))
    assert skate.get(items.get.remote()) == [1]
    for actor in (counter, barrier, items):
        skate.kill(actor)
