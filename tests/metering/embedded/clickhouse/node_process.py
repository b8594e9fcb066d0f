"""A node as a child process, as the supervisor runs it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

USER, PASSWORD = "tallywatt", "correct horse"
START_S = 30


@dataclass
class NodeProcess:
    """Starts at once in `folder`; `arguments` are added to the command line."""

    folder: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.spool.mkdir(parents=True, exist_ok=True)
        write_credentials(self.credentials)
        self.start()

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def credentials(self) -> Path:
        return self.folder / "credentials.json"

    def start(self) -> None:
        self.process = spawn(self.folder, *self.arguments)
        line = first_line(self.process)
        assert line.startswith("ready 127.0.0.1:"), f"the node did not start: {line!r}"
        self.port = int(line.rpartition(":")[2])

    def client(self, **options: Any) -> Client:
        return Client("127.0.0.1", self.port, **({"user": USER, "password": PASSWORD} | options))

    def end(self, signal_number: int = signal.SIGTERM) -> tuple[int, float]:
        """Exit code and seconds."""
        started = time.monotonic()
        self.process.send_signal(signal_number)
        code = self.process.wait(timeout=20)
        if self.process.stdout:
            self.process.stdout.close()
        return code, time.monotonic() - started

    def __enter__(self) -> "NodeProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()

    def memory_mb(self) -> float:
        """The highest resident memory so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def write_credentials(path: Path) -> None:
    path.write_text(json.dumps({"user": USER, "password": PASSWORD}))
    path.chmod(0o600)


def spawn(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "metering.embedded.clickhouse", "--data-dir", str(folder / "data"), "--port", "0"]
    command += ["--spool", str(folder / "spool"), "--credentials", str(folder / "credentials.json"), *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment, **options
    )


def first_line(process: subprocess.Popen[str]) -> str:
    """What it says first. A node that says nothing within START_S is killed, and the line is empty."""
    assert process.stdout is not None
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        return process.stdout.readline().strip()
    finally:
        timer.cancel()
