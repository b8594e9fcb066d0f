"""Requests that the server will never take, in a folder, with its answer: for a person to look at and to send again.

<time>.json     when, to which path, with which headers, and the answer
<time>.body     the bytes as they were sent
"""

import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from metering.agent.messages import Message
from tallywatt.answers import Answer
from tallywatt.lanes import sync_folder

logger = logging.getLogger("tallywatt.agent")

LONGEST_ANSWER = 64 * 1024


class Aside:
    """At most `most_bytes` of them: beyond that the oldest are deleted, which is logged."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self._most_bytes = most_bytes

    def keep(self, path: str, message: Message, answer: Answer) -> Path:
        """The file that tells about it, on disk when this returns. Raises OSError; then call it again."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = self.folder / f"{time.time_ns():020d}"
        _write(stem.with_suffix(".body"), message.body)
        told = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "path": path,
            "headers": dict(message.headers),
            "status": answer.status,
            "answer": answer.body[:LONGEST_ANSWER].decode(errors="replace"),
        }
        _write(stem.with_suffix(".json"), json.dumps(told, indent=2).encode())
        sync_folder(self.folder)
        self._make_room()
        return stem.with_suffix(".json")

    def count(self) -> int:
        return len(list(self.folder.glob("*.json")))

    def _make_room(self) -> None:
        """The latest always stays."""
        kept = sorted(self.folder.glob("*.body"))
        size = sum(path.stat().st_size for path in kept)
        for path in kept[:-1]:
            if size <= self._most_bytes:
                return
            size -= path.stat().st_size
            logger.error("no room for what was set aside: %s is deleted for good", path.stem)
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
