"""Redis from a wheel: a Unix socket of mode 0700, a password, and the append-only file on."""

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

import redis

from metering.embedded import binaries
from metering.embedded.processes import Account, Child, own, service_account

LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes

CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
requirepass {password}
dir "{folder}"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
databases 16
loglevel notice
"""


class EmbeddedRedis:
    """A server whose files are in `folder`, owned by the service account."""

    def __init__(self, folder: Path, password: str, log: Path) -> None:
        self.folder = folder
        self.password = password
        self.account = service_account(folder, binaries.redis_server())
        self.configuration = folder / "redis.conf"
        self.socket = _socket_path(folder, self.account)
        self.child = Child(
            "redis",
            [str(binaries.redis_server()), str(self.configuration)],
            log=log,
            account=self.account,
        )

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}?password={quote(self.password)}&db=0"

    def start(self, timeout_s: float = 30) -> None:
        self.folder.mkdir(exist_ok=True)
        own(self.folder, self.account, 0o700)
        text = CONFIGURATION.format(socket=self.socket, password=self.password, folder=self.folder)
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(text)
        own(self.configuration, self.account, 0o600)
        self.child.start()
        self.child.wait_ready(self.answers, timeout_s)

    def close(self) -> None:
        """Remove the socket's folder if that is not in the data directory."""
        if self.socket.parent != self.folder:
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    def answers(self) -> bool:
        link = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(link.ping())
        except redis.RedisError:
            return False
        finally:
            link.close()


def _socket_path(folder: Path, account: Account) -> Path:
    """In the data directory, or in a private folder of the system's for temporary files where that path is too long."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    short = Path(tempfile.mkdtemp(prefix="tallywatt-"))
    own(short, account, 0o700)
    return short / "redis.sock"
