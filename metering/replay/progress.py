"""How far an unfinished replay has come, so that the same command goes on where it stopped.

Only acknowledged rows are counted, and what is acknowledged is on the server's disk: skipping them loses nothing. Losing this file
costs time, never correctness, since a row that is sent twice is one event. A finished replay leaves no file behind: running it
again sends everything again.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Acknowledged:
    rows: int = 0
    accepted: int = 0
    rejected: int = 0


class ReplayState:
    """`parts` are all that tells one replay from another: target, trace, tenant, model, start."""

    def __init__(self, folder: Path, parts: tuple[str, ...]) -> None:
        name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        self.path = folder / f"{name}.json"

    def read(self) -> Acknowledged:
        """Nothing acknowledged where there is no file, or one that cannot be read."""
        try:
            found = json.loads(self.path.read_text())
            return Acknowledged(**{name: int(found[name]) for name in asdict(Acknowledged())})
        except (OSError, ValueError, KeyError, TypeError):
            return Acknowledged()

    def write(self, done: Acknowledged) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps(asdict(done)))
        fresh.replace(self.path)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
