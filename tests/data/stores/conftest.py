"""Servers on the loopback interface, and the runtimes of packages that keep theirs, started before anything is watched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from tests.data.stores.servers import free_port, mongo_server
from tests.support import wait_until


@pytest.fixture(scope="session", autouse=True)
def _runtimes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Some packages keep threads and descriptors from their first call on."""
    import deltalake
    import lance
    from pyiceberg.utils.concurrent import ExecutorFactory

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYICEBERG_MAX_WORKERS", "1")
        ExecutorFactory.get_or_create().submit(int).result()
    folder = tmp_path_factory.mktemp("runtimes")
    table = pa.table({"a": [1]})
    deltalake.write_deltalake(str(folder / "d"), table)
    deltalake.DeltaTable(str(folder / "d")).to_pyarrow_dataset().to_table()
    lance.write_dataset(table, str(folder / "l"))
    lance.dataset(str(folder / "l")).to_table()


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[dict[str, str]]:
    """An S3 server with an empty bucket `bucket`: the environment variables that name it and its keys.

    It is a process of its own: a client that holds the interpreter's lock while it waits would wait for ever.
    """
    import boto3
    import deltalake

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": address,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        assert server.poll() is None, "the S3 server has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listens, 120, "the S3 server")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            client = boto3.client("s3", endpoint_url=address)
            client.create_bucket(Bucket="bucket")
            client.close()
            # These make what stays: network runtimes.
            found = pafs.FileSystem.from_uri("s3://bucket")[0].get_file_info("bucket")
            assert found.type == pafs.FileType.Directory
            assert not deltalake.DeltaTable.is_deltatable("s3://bucket/nothing")
        yield settings
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def s3(_s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the S3 server; the environment names it and its keys, for this test."""
    for name, value in _s3_server.items():
        monkeypatch.setenv(name, value)
    return _s3_server["AWS_ENDPOINT_URL"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A connection string of a PostgreSQL server with an empty database."""
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    as_whom: list[str] = []
    # Not in the tests' own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="skate-postgres-", dir="/tmp") as folder:
        if os.geteuid() == 0:  # the server refuses to be run by root
            shutil.chown(folder, "nobody")
            as_whom = ["setpriv", "--reuid=nobody", "--clear-groups", "--"]
        port = free_port()
        _run(*as_whom, initdb, "-D", f"{folder}/db", "-U", "skate", "--auth=trust", "--no-sync")
        # Its shared memory is in its folder, too: a server that is killed leaves nothing in /dev/shm.
        settings = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c dynamic_shared_memory_type=mmap"
        control = [*as_whom, "pg_ctl", "-D", f"{folder}/db"]
        _run(*control, "-w", "-t", "100", "-l", f"{folder}/log", "-o", settings, "start")
        try:
            yield f"host=127.0.0.1 port={port} user=skate dbname=postgres"
        finally:
            _run(*control, "-m", "fast", "-w", "stop")


def _run(*command: str) -> None:
    with tempfile.TemporaryFile() as said:  # not a pipe: the server would keep it open
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=120, check=False, cwd="/"
        )
        said.seek(0)
        assert done.returncode == 0, f"{command}: {said.read().decode()}"


@pytest.fixture
def mongo() -> Iterator[str]:
    """The address of a server that talks MongoDB's protocol."""
    with mongo_server() as address:
        yield address


_BROKER = """
import sys
from confluent_kafka import Producer
cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": ""})
brokers = cluster.list_topics(timeout=100).brokers
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers.values()), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of librdkafka's own mock of a broker, in a process of its own, as it opens sockets when it likes."""
    broker = subprocess.Popen(
        [sys.executable, "-c", _BROKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert broker.stdin is not None and broker.stdout is not None
    try:
        address = broker.stdout.readline().strip()
        assert address, "the broker has ended"
        yield address
    finally:
        broker.stdin.close()
        broker.stdout.close()
        broker.wait(timeout=60)


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "table")
