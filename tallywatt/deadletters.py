"""Events that the server will never take. They are kept on disk and told to the program; an event is never silently gone."""

import errno
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tallywatt import lanes

logger = logging.getLogger("tallywatt")

FILE = "rejected.ndjson"
# The server keeps what it rejected in quarantine, so this file need not grow without end: two of this size are kept.
LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class Rejected:
    """One event that was not taken, and why: the server's `field` (may be ''), `reason` (a fixed word) and `message`."""

    event: dict[str, Any]
    field: str
    reason: str
    message: str


OnRejected = Callable[[Rejected], None]


class DeadLetters:
    """`folder` None: there is no outbox, so the callback and the log are all there is."""

    def __init__(self, folder: Path | None, on_rejected: OnRejected | None) -> None:
        self._path = folder / FILE if folder is not None else None
        self._on_rejected = on_rejected

    def keep(self, rejected: Sequence[Rejected]) -> None:
        """On disk when this returns. Raises OSError; then call it again."""
        if rejected and self._path is not None:
            _append(self._path, b"".join(json.dumps(asdict(one)).encode() + b"\n" for one in rejected))

    def tell(self, rejected: Sequence[Rejected]) -> None:
        """Log and call back; what the callback raises is logged, for the events are dealt with."""
        if rejected:
            first = rejected[0]
            logger.error("%d events were rejected; the first: %s %s", len(rejected), first.field, first.message)
        if self._on_rejected is None:
            return
        for one in rejected:
            try:
                self._on_rejected(one)
            except Exception:
                logger.exception("on_rejected failed")


def _append(path: Path, data: bytes) -> None:
    """All of it or nothing, on disk when this returns. Processes share the file, so one writes at a time."""
    with lanes.exclusive(path.parent):
        if path.exists() and path.stat().st_size > LARGEST_FILE:
            path.replace(path.with_suffix(".ndjson.1"))
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _write_whole(opened, data)
        finally:
            os.close(opened)


def _write_whole(opened: int, data: bytes) -> None:
    before = os.fstat(opened).st_size
    if os.write(opened, data) != len(data):
        os.ftruncate(opened, before)
        raise OSError(errno.ENOSPC, "no space left for rejected events")
    os.fsync(opened)
