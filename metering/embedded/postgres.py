"""PostgreSQL from a wheel: in the foreground, SCRAM on loopback, no Unix socket.

The application's role owns its database and may create others (the tests do); it is no superuser. A superuser reads files as the
server can, and below a private folder the server can read everything (see launch.py). Nobody knows the superuser's password.
"""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from metering.embedded import binaries
from metering.embedded.processes import Child, EmbeddedError, own, service_account

USER = DATABASE = "tallywatt"
MAJOR_VERSION = "18"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A laptop's single disk: durable as always, but no replicas and few log segments.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
}


class EmbeddedPostgres:
    """A cluster in `folder`, owned by the service account. `start` creates it the first time."""

    def __init__(self, folder: Path, password: str, port: int, log: Path) -> None:
        self.folder = folder
        self.password = password
        self.port = port
        self.data = folder / "data"
        self.account = service_account(folder, binaries.postgres("postgres"))
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self.child = Child(
            "postgres",
            [str(binaries.postgres("postgres")), "-D", str(self.data), "-p", str(port), *options],
            log=log,
            account=self.account,
            stop_signal=signal.SIGINT,  # "fast": disconnect clients, checkpoint, end
            env={"LC_ALL": "C.UTF-8"},
        )

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{quote(self.password)}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Create the cluster in a scratch folder and rename it, so that a crash halfway leaves nothing that looks finished."""
        self.folder.mkdir(exist_ok=True)
        own(self.folder, self.account, 0o700)
        if self.data.exists():
            self._check_version()
            self._forget_dead_server()
            return
        scratch = self.folder / "initdb"
        shutil.rmtree(scratch, ignore_errors=True)
        self._initdb(scratch)
        self._create_role_and_database(scratch)
        scratch.rename(self.data)

    def _initdb(self, scratch: Path) -> None:
        words = [str(binaries.postgres("initdb")), "-D", str(scratch), "-U", "postgres", "-A", "scram-sha-256"]
        words += ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        with self._private_file(secrets.token_urlsafe(32)) as password_file:
            self._run_to_end("initdb", [*words, f"--pwfile={password_file}"])

    def _create_role_and_database(self, cluster: Path) -> None:
        """By PostgreSQL's single-user mode: the statements come from a private file, and nothing listens yet."""
        quoted = self.password.replace("'", "''")
        statements = f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{quoted}'\nCREATE DATABASE {DATABASE} OWNER {USER}\n"
        words = [str(binaries.postgres("postgres")), "--single", "-D", str(cluster)]
        words += ["-c", "log_min_error_statement=panic", "postgres"]  # an error must not write the password to the log
        with self._private_file(statements) as script:
            self._run_to_end("postgres", words, stdin=script)

    def _run_to_end(self, name: str, words: list[str], stdin: Path | None = None) -> None:
        helper = Child(name, words, log=self.child.log, account=self.account, stdin=stdin)
        helper.start()
        if not helper.wait_stopped(120) or helper.exit_code != 0:
            raise EmbeddedError(f"{name} failed while creating the cluster:\n{helper.last_lines()}")

    @contextmanager
    def _private_file(self, text: str) -> Iterator[Path]:
        path = self.folder / "secret"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        own(path, self.account, 0o600)
        try:
            yield path
        finally:
            path.unlink()

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != MAJOR_VERSION:
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {found}, this is {MAJOR_VERSION}: dump it with that one"
            )

    def _forget_dead_server(self) -> None:
        """Remove the pid file of a server that was killed, if its number now belongs to something else.

        PostgreSQL would take that process for the server, and refuse to start: numbers repeat when a container starts again.
        """
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        command_line = Path("/proc", pid_file.read_text().split("\n", 1)[0].strip(), "cmdline")
        if not command_line.exists() or os.fsencode(self.data) not in command_line.read_bytes():
            pid_file.unlink()

    def start(self, timeout_s: float = 60) -> None:
        self.prepare()
        self.child.start()
        self.child.wait_ready(self.answers, timeout_s)

    def answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedError(
                    f"secrets.json does not hold the password of {self.data}: restore the file"
                ) from error
            return False
        return True

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=self.password,
            dbname=DATABASE,
            autocommit=True,
            connect_timeout=2,
        )
