"""Who may speak to the node, and how it starts."""

import socket
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.metering.embedded.clickhouse.node_process import NodeProcess, first_line, spawn, write_credentials

AUTHENTICATION_FAILED = 516


@pytest.mark.parametrize(
    "credentials",
    [
        {"password": "wrong"},
        {"user": "nobody"},
        {"user": "", "password": ""},
        {"password": ""},
        {"user": "default", "password": ""},
    ],
)
def test_a_wrong_user_or_password_is_refused(connect: Callable[..., Client], credentials: dict[str, str]) -> None:
    with pytest.raises(ServerException) as refused:
        connect(**credentials).execute("SELECT 1")
    assert refused.value.code == AUTHENTICATION_FAILED


def test_a_client_starts_in_the_database_it_names(connect: Callable[..., Client]) -> None:
    assert connect(database="system").execute("SELECT currentDatabase()") == [("system",)]
    assert connect(database="").execute("SELECT currentDatabase()") == [("default",)]


def test_an_unknown_database_is_refused_at_the_door(connect: Callable[..., Client]) -> None:
    with pytest.raises(ServerException) as refused:
        connect(database="nonsuch").execute("SELECT 1")
    assert refused.value.code == 81


@pytest.mark.parametrize("revision", [54429, 54441, 54448, 54453, 54468])
def test_clients_of_several_revisions_are_understood(connect: Callable[..., Client], revision: int) -> None:
    client = connect(client_revision=revision)
    assert client.execute("SELECT getSetting('max_threads')", settings={"max_threads": 3}) == [(3,)]


def test_a_client_that_is_too_old_is_told_so(connect: Callable[..., Client]) -> None:
    with pytest.raises(ServerException) as refused:
        connect(client_revision=54400).execute("SELECT 1")
    assert refused.value.code == 48


def test_only_loopback_is_listened_on(node: NodeProcess) -> None:
    listening = (
        Path(f"/proc/{node.process.pid}/net/tcp").read_text() + Path(f"/proc/{node.process.pid}/net/tcp6").read_text()
    )
    port = f"{node.port:04X}"
    places = [
        line.split()[1]
        for line in listening.splitlines()
        if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"
    ]
    assert places == [f"0100007F:{port}"]


def test_more_clients_than_allowed_are_told_so_and_the_others_live(own_node: Callable[..., NodeProcess]) -> None:
    node = own_node("--max-clients", "2")
    first, second, third = node.client(), node.client(), node.client()
    assert first.execute("SELECT 1") == second.execute("SELECT 1") == [(1,)]
    with pytest.raises(ServerException) as refused:
        third.execute("SELECT 1")
    assert refused.value.code == 202
    assert first.execute("SELECT 2") == [(2,)]
    for client in (first, second, third):
        client.disconnect()


def refused_start(folder: Path, *arguments: str) -> tuple[int, str]:
    process = spawn(folder, *arguments, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


def test_a_second_process_on_the_same_directory_is_refused(
    own_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    own_node()
    code, errors = refused_start(tmp_path)
    assert code == 1
    assert "in use by another process" in errors
    assert str(tmp_path / "data") in errors


def test_a_taken_port_is_named(node: NodeProcess, tmp_path: Path) -> None:
    write_credentials(tmp_path / "credentials.json")
    code, errors = refused_start(tmp_path, "--port", str(node.port))
    assert code == 1
    assert f"port {node.port}" in errors


def test_credentials_that_others_can_read_are_refused(tmp_path: Path) -> None:
    write_credentials(tmp_path / "credentials.json")
    (tmp_path / "credentials.json").chmod(0o640)
    code, errors = refused_start(tmp_path)
    assert code == 1
    assert "mode 0600" in errors


@pytest.mark.parametrize("content", ["", "{}", '{"user": "x"}', '{"user": "x", "password": ""}', "[]"])
def test_credentials_that_cannot_be_used_are_refused(tmp_path: Path, content: str) -> None:
    write_credentials(tmp_path / "credentials.json")
    (tmp_path / "credentials.json").write_text(content)
    code, errors = refused_start(tmp_path)
    assert code == 1
    assert "credentials.json" in errors


def test_the_data_directory_is_for_its_owner_only(own_node: Callable[..., NodeProcess], tmp_path: Path) -> None:
    own_node()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_client_that_says_nothing_is_hung_up_on(own_node: Callable[..., NodeProcess]) -> None:
    node = own_node("--handshake-seconds", "0.5")
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as silent:
        assert silent.recv(1) == b""


def test_it_says_ready_once_and_nothing_else(own_node: Callable[..., NodeProcess], tmp_path: Path) -> None:
    write_credentials(tmp_path / "credentials.json")
    process = spawn(tmp_path)
    assert first_line(process).startswith("ready 127.0.0.1:")
    rest: list[str] = []
    reader = threading.Thread(target=lambda: rest.append(process.stdout.read() if process.stdout else ""))
    reader.start()
    process.terminate()
    assert process.wait(timeout=10) == 0
    reader.join()
    assert process.stdout is not None
    process.stdout.close()
    assert rest == [""]
