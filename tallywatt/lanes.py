"""The folders of an outbox: one lane for each living process, held by a lock that the kernel drops when the process dies.

    PATH/lock                       held while lanes are made or adopted
    PATH/lanes/<label>-<pid>-<n>/   one process's lane; <label> stands for the API key
    PATH/lanes/.../lock             locked as long as that process lives
    PATH/lanes/.../<time>-<n>.log   a batch
    PATH/rejected.ndjson            dead letters

A lane is adopted only by a client with the same API key: an event that names no tenant belongs to the tenant of its key.
"""

import contextlib
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tallywatt.errors import OutboxError

if sys.platform != "win32":
    import fcntl

SUFFIX = ".log"


def label_of(key: str) -> str:
    """Stands for an API key in the name of a lane; the key cannot be found from it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Lane:
    """A folder that this process holds, by the open file `lock`."""

    path: Path
    lock: int

    @property
    def suffix(self) -> str:
        """Ends the names of this lane's batches, so that they stay apart in the lane that adopts them."""
        return self.path.name.rpartition("-")[2] + SUFFIX

    def release(self) -> None:
        """Let go; an empty lane disappears."""
        if not list(segments(self.path)):
            _remove(self.path)
        _unlock(self.lock)


def create(root: Path, label: str) -> Lane:
    """Raises OutboxError if the folder cannot be used."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "lanes").mkdir(mode=0o700, exist_ok=True)
        with exclusive(root):
            path = root / "lanes" / f"{label}-{os.getpid()}-{secrets.token_hex(4)}"
            path.mkdir(mode=0o700)
            lock = _lock(path / "lock", wait=False)
            sync_folder(path.parent)
            sync_folder(root)
    except OSError as error:
        raise OutboxError(f"the outbox {root} cannot be used: {error}") from error
    if lock is None:  # nobody else knows the name
        raise OutboxError(f"the outbox {root} lies on a file system without locks")
    return Lane(path, lock)


def adopt(root: Path, into: Lane, label: str | None) -> list[Path]:
    """Move the batches of dead processes (of `label`; None: of all) into a lane; their new paths."""
    moved: list[Path] = []
    with exclusive(root):
        for lane in _lanes(root):
            if lane == into.path or (label is not None and label_in(lane) != label):
                continue
            # Its process has just removed it, or it belongs to another user.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                moved += _empty(lane, into)
    if moved:
        sync_folder(into.path)
    return moved


def _empty(lane: Path, into: Lane) -> list[Path]:
    lock = _lock(lane / "lock", wait=False)
    if lock is None:
        return []
    try:
        moved = [segment.rename(into.path / segment.name) for segment in segments(lane)]
        _remove(lane)
    finally:
        _unlock(lock)
    return moved


@dataclass(frozen=True)
class LaneInfo:
    """A lane as an inspector finds it."""

    path: Path
    alive: bool
    segments: list[Path]


def survey(root: Path) -> list[LaneInfo]:
    """All lanes; those of living processes too."""
    return [LaneInfo(lane, _is_held(lane / "lock"), list(segments(lane))) for lane in _lanes(root)]


def segments(lane: Path) -> Iterator[Path]:
    yield from sorted(lane.glob(f"*{SUFFIX}"))


def size_of_others(root: Path, own: Lane) -> int:
    """Bytes in the lanes of other processes, as of now."""
    total = 0
    for lane in _lanes(root):
        for segment in segments(lane) if lane != own.path else ():
            with contextlib.suppress(FileNotFoundError):  # sent this moment
                total += segment.stat().st_size
    return total


def label_in(lane: Path) -> str:
    return lane.name.partition("-")[0]


def sync_folder(path: Path) -> None:
    """Make new names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lanes(root: Path) -> list[Path]:
    folder = root / "lanes"
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _remove(lane: Path) -> None:
    # Something that is not ours in there keeps the folder: never delete what we did not write.
    (lane / "lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        lane.rmdir()


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    lock = _lock(path, wait=False)
    if lock is None:
        return True
    _unlock(lock)
    return False


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """No other process makes or adopts lanes, or writes dead letters, meanwhile."""
    lock = _lock(root / "lock", wait=True)
    try:
        yield
    finally:
        if lock is not None:
            _unlock(lock)


def _lock(path: Path, *, wait: bool) -> int | None:
    """An open, locked file, or None if another process has the lock."""
    if sys.platform == "win32":
        raise OutboxError("an outbox on disk needs flock(): Linux or macOS")
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(opened)
        return None
    except BaseException:
        os.close(opened)
        raise
    return opened


def _unlock(opened: int) -> None:
    """Closing alone is not enough: a child that was forked meanwhile has a copy of the open file, and with it the lock."""
    if sys.platform != "win32":
        fcntl.flock(opened, fcntl.LOCK_UN)
    os.close(opened)
