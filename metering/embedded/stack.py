"""PostgreSQL, Redis and ClickHouse of one data directory, started together. Used by `manage.py up` and by the tests."""

import json
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from config import environment
from config.stack import StackUrls
from metering.embedded.postgres import EmbeddedPostgres
from metering.embedded.processes import Child, EmbeddedError
from metering.embedded.redis import EmbeddedRedis
from metering.embedded.secretsfile import Secrets, load_or_create, write_private

CLICKHOUSE_DATABASE = "tallywatt"
CLICKHOUSE_USER = "tallywatt"
# Below the range from which the kernel takes the near end of outgoing connections: such a one could sit on a server's port just
# when that server is started again.
PORTS = range(20_000, 32_000)


class EmbeddedClickHouse:
    """The chdb node as a child process."""

    def __init__(self, data_dir: Path, spool: Path, password: str, port: int) -> None:
        self.port = port
        self.password = password
        self._credentials = data_dir / "clickhouse.json"
        write_private(self._credentials, json.dumps({"user": CLICKHOUSE_USER, "password": password}))
        words = [sys.executable, "-m", "metering.embedded.clickhouse", "--data-dir", str(data_dir / "clickhouse")]
        words += ["--port", str(port), "--spool", str(spool), "--credentials", str(self._credentials)]
        self.child = Child("clickhouse", words, log=data_dir / "logs" / "clickhouse.log")

    @property
    def url(self) -> str:
        return f"clickhouse://{CLICKHOUSE_USER}:{quote(self.password)}@127.0.0.1:{self.port}/{CLICKHOUSE_DATABASE}"

    def start(self, timeout_s: float = 60) -> None:
        self.child.start()
        self.child.wait_ready(self.answers, timeout_s)

    def answers(self) -> bool:
        """It listens only once the engine has loaded its tables."""
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), timeout=1)):
                return True
        except OSError:
            return False


EmbeddedServer = EmbeddedPostgres | EmbeddedRedis | EmbeddedClickHouse


class EmbeddedStack:
    """The servers that no URL in the environment replaces."""

    def __init__(self, data_dir: Path, spool: Path | None = None) -> None:
        self.data_dir = data_dir
        self.logs = data_dir / "logs"
        self.spool = spool or data_dir / "spool"
        data_dir.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.spool):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.secrets: Secrets = load_or_create(data_dir / "secrets.json")
        self.servers: list[EmbeddedServer] = []
        self._ports = _Ports(data_dir / "ports.json")

    def build(self) -> StackUrls:
        """Decide what is needed and where; starts nothing. Raises EmbeddedError if a server could not run here."""
        urls = StackUrls(
            database_url=environment.text("DATABASE_URL"),
            redis_url=environment.text("REDIS_URL"),
            clickhouse_url=environment.text("CLICKHOUSE_URL"),
            secret_key=environment.text("TALLYWATT_SECRET_KEY") or self.secrets.django,
        )
        if not urls.database_url:
            port = self._ports.of("postgres")
            postgres = EmbeddedPostgres(
                self.data_dir / "postgres", self.secrets.postgres, port, self.logs / "postgres.log"
            )
            urls = replace(urls, database_url=self._add(postgres))
        if not urls.redis_url:
            redis = EmbeddedRedis(self.data_dir / "redis", self.secrets.redis, self.logs / "redis.log")
            urls = replace(urls, redis_url=self._add(redis))
        if not urls.clickhouse_url:
            port = self._ports.of("clickhouse")
            clickhouse = EmbeddedClickHouse(self.data_dir, self.spool, self.secrets.clickhouse, port)
            urls = replace(urls, clickhouse_url=self._add(clickhouse))
        return urls

    def notices(self) -> list[str]:
        """What the person who started this should know about how the servers run."""
        return [
            f"{server.child.name} runs {server.account.notice}"
            for server in self.servers
            if not isinstance(server, EmbeddedClickHouse) and server.account.notice
        ]

    def start(self) -> Iterator[EmbeddedServer]:
        """Start one after the other; yields each once it answers."""
        for server in self.servers:
            server.start()
            yield server

    def stop(self, timeout_s: float = 8) -> None:
        """In reverse order; what has not stopped after `timeout_s` in all is killed."""
        deadline = time.monotonic() + timeout_s
        for server in reversed(self.servers):
            server.child.ask_to_stop()
        for server in reversed(self.servers):
            server.child.wait_stopped(max(0.1, deadline - time.monotonic()))
            if isinstance(server, EmbeddedRedis):
                server.close()

    def _add(self, server: EmbeddedServer) -> str:
        self.servers.append(server)
        return server.url


class _Ports:
    """Ports that stay the same from run to run while they are free, so that clients reconnect after a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, name: str) -> int:
        port = self._known.get(name)
        if port is None or not port_is_free(port):
            port = free_port()
            self._known[name] = port
            write_private(self._path, json.dumps(self._known))
        return port


def port_is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at this moment."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        if port_is_free(port):
            return port
    raise EmbeddedError(f"no free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1")
