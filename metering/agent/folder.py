"""The agent's data folder: one agent at a time, by a lock that the kernel drops when the process dies.

DATA/lock           held while an agent runs
DATA/telemetry/     samples that wait (an outbox, see tallywatt/lanes.py)
DATA/traces/        OTLP requests of local senders that wait
DATA/events/        event requests that wait
DATA/set-aside/     requests that the server refused for good (aside.py)
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class FolderError(Exception):
    """The data folder cannot be used."""


@contextlib.contextmanager
def held(data: Path) -> Iterator[None]:
    """Nobody else's meanwhile; it is made if need be. Raises FolderError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderError(f"data is {str(data)!r}, which cannot be used: {error}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderError(f"data is {str(data)!r}, where another agent is running") from None
    except OSError as error:
        raise FolderError(f"data is {str(data)!r}, on a file system without locks: {error}") from None
    else:
        yield
    finally:
        os.close(lock)
