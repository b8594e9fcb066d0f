"""The list of wire cases against the embedded node and, marked `real_clickhouse`, against a real server."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from clickhouse_driver.protocol import ServerPacketTypes

from metering.embedded.stack import free_port
from tests.metering.embedded.clickhouse.wire_cases import CASES, WireCase

REAL_SERVER = shutil.which("clickhouse-server") or shutil.which("clickhouse-server", path="/usr/sbin:/usr/bin")
CONFIG = """<yandex><logger><level>error</level><console>1</console></logger><tcp_port>{port}</tcp_port>
<listen_host>127.0.0.1</listen_host><path>{folder}/</path><tmp_path>{folder}/tmp/</tmp_path><timezone>UTC</timezone>
<user_files_path>{folder}/files/</user_files_path><mark_cache_size>5000000</mark_cache_size>
<users_config>{folder}/users.xml</users_config><default_profile>default</default_profile>
<default_database>default</default_database></yandex>"""
USERS = """<yandex><profiles><default/></profiles><quotas><default/></quotas><users><tester><password>pw</password>
<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></tester></users></yandex>"""

Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real ClickHouse server of Debian's package, as a child process."""
    if REAL_SERVER is None:
        if os.environ.get("CI") == "true":
            pytest.fail("clickhouse-server is not installed, and CI never skips it")
        pytest.skip("no clickhouse-server on this machine")
    folder, port = tmp_path_factory.mktemp("real"), free_port()
    (folder / "config.xml").write_text(CONFIG.format(port=port, folder=escape(str(folder))))
    (folder / "users.xml").write_text(USERS)
    with (folder / "log").open("w") as log:
        command = [REAL_SERVER, f"--config-file={folder / 'config.xml'}"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_it_listens(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    pytest.fail(f"clickhouse-server did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def real_connect(real_server: int) -> Iterator[Connect]:
    opened: list[Client] = []

    def open_one(**options: Any) -> Client:
        opened.append(Client("127.0.0.1", real_server, user="tester", password="pw", **options))
        return opened[-1]

    yield open_one
    for client in opened:
        client.disconnect()


def run_case(connect: Connect, case: WireCase) -> None:
    manager = connect(database="default")
    manager.execute("DROP DATABASE IF EXISTS wire")
    manager.execute("CREATE DATABASE wire")
    client = connect(database="wire")
    for statement in case.statements[:-1]:
        execute(client, statement)
    if case.error is not None:
        with pytest.raises(ServerException) as refused:
            execute(client, case.statements[-1], settings=case.settings)
        assert refused.value.code == case.error, refused.value.message[:300]
        assert connect(database="default").execute("SELECT 1") == [(1,)]
        return
    columns = case.columns is not None
    found = execute(client, case.statements[-1], settings=case.settings, with_column_types=columns)
    assert found == ((case.result, case.columns) if columns else case.result)


def execute(client: Client, statement: str | tuple[str, list[Any]], **options: Any) -> Any:
    if isinstance(statement, tuple):
        return client.execute(*statement, **({"settings": options["settings"]} if "settings" in options else {}))
    return client.execute(statement, **options)


@pytest.mark.parametrize("compression", [False, "lz4"], ids=["plain", "lz4"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_embedded_node_answers_as_the_list_says(connect: Connect, case: WireCase, compression: str | bool) -> None:
    run_case(lambda **options: connect(compression=compression, **options), case)


@pytest.mark.real_clickhouse
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_real_server_answers_as_the_list_says(real_connect: Connect, case: WireCase) -> None:
    version = real_connect().execute("SELECT version()")[0][0]
    if tuple(map(int, version.split(".")[:2])) < case.since:
        pytest.skip(f"ClickHouse {version} is older than this answer: {case.since}")
    run_case(real_connect, case)


# Those whose statements are text alone.
FAILING = [case for case in CASES if case.error is not None and all(isinstance(sql, str) for sql in case.statements)]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_a_connection_lives_on_after_every_error(connect: Connect, case: WireCase) -> None:
    connect().execute("DROP TABLE IF EXISTS t")
    client = connect()
    client.connection.connect()
    for statement in case.statements:
        code = speak(client, str(statement), case.settings)
    assert code == case.error
    assert speak(client, "SELECT 1", {}) is None


def speak(client: Client, sql: str, settings: dict[str, Any]) -> int | None:
    """A query without the driver's habit of hanging up after an error. The code of its error, if any."""
    client.connection.context.settings = settings
    client.connection.send_query(sql)
    client.connection.send_external_tables(None)
    while (packet := client.connection.receive_packet()).type != ServerPacketTypes.END_OF_STREAM:
        if packet.exception is not None:
            return int(packet.exception.code)
    return None
