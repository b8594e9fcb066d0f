"""PostgreSQL and Redis from wheels: who they run as, what they open, what they leave alone, and how they end."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from metering.embedded import launch
from metering.embedded.processes import ROOT, Child, EmbeddedError, service_account, unreachable
from metering.embedded.redis import EmbeddedRedis
from metering.embedded.stack import EmbeddedClickHouse, EmbeddedStack

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")


@pytest.fixture
def private_folder(tmp_path: Path) -> Path:
    """A folder that nobody else may even pass through, as `/root` and `mktemp -d` are."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def stack(private_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """PostgreSQL and Redis of a data directory of their own; the run's ClickHouse is left out."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLICKHOUSE_URL", "clickhouse://elsewhere")
    built = EmbeddedStack(private_folder / "var")
    urls = built.build()
    for _ in built.start():
        pass
    yield built, urls
    built.stop()


def test_they_work_below_a_private_folder_and_leave_its_permissions_alone(stack, private_folder: Path) -> None:
    _, urls = stack
    with psycopg.connect(urls.database_url) as link:
        assert link.execute("SELECT current_setting('server_version_num')::int >= 180000").fetchone() == (True,)
    assert redis.Redis.from_url(urls.redis_url).ping()
    assert stat.S_IMODE(private_folder.stat().st_mode) == 0o700
    assert private_folder.stat().st_uid == os.geteuid()


@AS_ROOT
def test_started_by_root_they_run_as_an_ordinary_user(stack) -> None:
    built, _ = stack
    for server in built.servers:
        assert psutil.Process(server.child.pid).uids().effective != 0


def test_the_application_is_no_superuser_but_may_create_databases(stack) -> None:
    _, urls = stack
    with psycopg.connect(urls.database_url) as link:
        rights = "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert link.execute(rights).fetchone() == (False, True)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("SELECT pg_read_file('/etc/passwd')")


def test_lost_secrets_are_named_as_the_reason(stack) -> None:
    built, _ = stack
    built.servers[0].password = "another"
    with pytest.raises(EmbeddedError, match=r"secrets\.json does not hold the password"):
        built.servers[0].answers()


def test_a_pid_file_whose_number_belongs_to_another_program_now_does_not_stop_postgres(stack) -> None:
    built, urls = stack
    postgres = built.servers[0]
    postgres.child.kill()
    pid_file = postgres.data / "postmaster.pid"
    other = subprocess.Popen(
        ["/usr/bin/env", "sleep", "60"], **({"user": postgres.account.uid} if postgres.account.uid else {})
    )
    try:
        pid_file.write_text("\n".join([str(other.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
        postgres.start()
        with psycopg.connect(urls.database_url) as link:
            assert link.execute("SELECT 1").fetchone() == (1,)
    finally:
        other.kill()
        other.wait()


def test_a_cluster_of_another_major_version_is_refused(stack) -> None:
    built, _ = stack
    postgres = built.servers[0]
    postgres.child.stop()
    (postgres.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17, this is 18"):
        postgres.start()


def test_a_wrong_password_is_refused_by_both(stack) -> None:
    _, urls = stack
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(urls.database_url.replace("://tallywatt:", "://tallywatt:x"))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(urls.redis_url.split("?", 1)[0]).ping()


def test_they_listen_on_loopback_only(stack) -> None:
    built, _ = stack
    addresses = [
        connection.laddr.ip
        for server in built.servers
        for connection in psutil.Process(server.child.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert addresses == ["127.0.0.1"]


def test_the_socket_and_the_secrets_are_private(stack, private_folder: Path) -> None:
    built, _ = stack
    # Not always in the data directory: a path too long for a socket puts it in a folder of its own.
    socket = next(server.socket for server in built.servers if isinstance(server, EmbeddedRedis))
    assert (stat.S_IMODE(socket.stat().st_mode), stat.S_IMODE(socket.parent.stat().st_mode)) == (0o700, 0o700)
    modes = {
        name: stat.S_IMODE((private_folder / "var" / name).stat().st_mode)
        for name in ("secrets.json", "redis", "redis/redis.conf", "postgres", "postgres/data")
    }
    assert modes == {
        "secrets.json": 0o600,
        "redis": 0o700,
        "redis/redis.conf": 0o600,
        "postgres": 0o700,
        "postgres/data": 0o700,
    }


def test_no_password_is_seen_in_the_process_list(stack) -> None:
    built, _ = stack
    shown = " ".join(word for server in built.servers for word in psutil.Process(server.child.pid).cmdline())
    assert built.secrets.postgres not in shown
    assert built.secrets.redis not in shown


def test_what_was_written_is_there_after_a_kill_and_a_restart(stack) -> None:
    built, urls = stack
    with psycopg.connect(urls.database_url) as link:
        link.execute("CREATE TABLE kept (x int)")
        link.execute("INSERT INTO kept VALUES (7)")
    for server in built.servers:
        server.child.kill()
    for _ in built.start():
        pass
    with psycopg.connect(urls.database_url) as link:
        assert link.execute("SELECT x FROM kept").fetchone() == (7,)


def test_an_initdb_that_died_halfway_is_done_again(private_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    monkeypatch.setenv("CLICKHOUSE_URL", "clickhouse://elsewhere")
    half = private_folder / "var/postgres/initdb"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    built = EmbeddedStack(private_folder / "var")
    urls = built.build()
    try:
        for _ in built.start():
            pass
        with psycopg.connect(urls.database_url) as link:
            assert link.execute("SELECT 1").fetchone() == (1,)
    finally:
        built.stop()


def test_a_data_directory_with_a_very_long_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere")
    monkeypatch.setenv("CLICKHOUSE_URL", "clickhouse://elsewhere")
    built = EmbeddedStack(tmp_path / ("long-" * 20) / "var")
    urls = built.build()
    try:
        for _ in built.start():
            pass
        assert redis.Redis.from_url(urls.redis_url).ping()
        socket_folder = built.servers[0].socket.parent
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    finally:
        built.stop()
    assert not socket_folder.exists()


@AS_ROOT
def test_without_the_capability_a_closed_folder_is_refused_by_name(
    private_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "keepable_capability", lambda **_: None)
    with pytest.raises(EmbeddedError, match="is closed to the user 'nobody'"):
        service_account(private_folder / "var")


@AS_ROOT
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_below_a_private_folder_a_program_can_be_found_and_read_with_one_capability_only(
    private_folder: Path, tmp_path: Path, mode: int
) -> None:
    """PostgreSQL's programs look for each other with access(2), which heeds capabilities only if told to."""
    program = private_folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(mode)
    look = (
        "import os, sys; from pathlib import Path; path = sys.argv[1]\n"
        "caps = [line.split()[1] for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('Cap')]\n"
        "print(os.getuid(), os.access(path, os.X_OK), len(open(path).read()), [bin(int(c, 16)).count('1') for c in caps[:3]])\n"
    )
    account = service_account(program)
    child = Child("look", [sys.executable, "-c", look, str(program)], log=tmp_path / "look.log", account=account)
    child.start()
    assert child.wait_stopped(10)
    assert child.last_lines() == f"{account.uid} True 10 [1, 1, 1]"


@AS_ROOT
def test_root_itself_is_refused_as_the_service_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYWATT_SERVICE_USER", "root")
    with pytest.raises(EmbeddedError, match="is root"):
        service_account(Path("/usr/bin"))


@AS_ROOT
def test_an_unknown_service_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYWATT_SERVICE_USER", "no-such-user")
    with pytest.raises(EmbeddedError, match="TALLYWATT_SERVICE_USER=no-such-user"):
        service_account(Path("/usr/bin"))


@AS_ROOT
def test_an_open_folder_needs_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_account(Path("/usr/bin")).capability is None


def test_a_folder_is_reachable_by_its_owner_but_not_by_others(private_folder: Path) -> None:
    inside = private_folder / "var"
    assert unreachable(inside, os.geteuid() + 12345, 12345) is not None
    blocked = unreachable(inside, os.geteuid(), os.getegid())
    assert blocked != private_folder


def test_a_child_dies_with_its_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from metering.embedded.processes import Child\n"
        "child = Child('sleeper', ['/bin/sleep', '60'], log=Path(sys.argv[1]))\n"
        "child.start()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    _wait(lambda: "sleep" in psutil.Process(pid).name())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    _wait(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_child_that_fails_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    child = Child("broken", ["/bin/sh", "-c", "echo the reason; exit 3"], log=tmp_path / "log")
    child.start()
    with pytest.raises(EmbeddedError, match=r"broken ended with exit code 3:\nthe reason"):
        child.wait_ready(lambda: False, 10)


def test_what_a_child_leaves_in_its_session_is_killed(tmp_path: Path) -> None:
    child = Child("forker", ["/bin/sh", "-c", "sleep 60 & echo $!; wait"], log=tmp_path / "log")
    child.start()
    _wait(lambda: child.last_lines().isdigit())
    left = int(child.last_lines())
    child.kill()
    _wait(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE)


def test_a_real_server_in_the_environment_replaces_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db.example/x")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example/1")
    monkeypatch.delenv("CLICKHOUSE_URL", raising=False)
    built = EmbeddedStack(tmp_path)
    urls = built.build()
    assert (urls.database_url, urls.redis_url) == ("postgresql://me@db.example/x", "redis://cache.example/1")
    assert [type(server) for server in built.servers] == [EmbeddedClickHouse]


def _wait(condition, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
