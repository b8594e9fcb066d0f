"""What the demo remembers between runs, in `<data-dir>/demo.json` (mode 0600: it holds the log-ins' passwords)."""

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from metering.demo.provider import HISTORY_DAYS
from metering.moments import hour_start

STATE_FILE = "demo.json"


@dataclass(frozen=True)
class Login:
    role: str
    username: str
    password: str
    url: str  # the page to begin with, below the web application's address


@dataclass
class DemoState:
    """`anchor`: where history begins; the same anchor gives the same events. Before `covered_until`, all of them were sent."""

    path: Path
    anchor: datetime
    covered_until: datetime
    logins: list[Login] = field(default_factory=list)
    agreed: bool = False  # contracts and credit were made: they are made once

    def save(self) -> None:
        """Replaces the file in one step; its mode is never wider than 0600."""
        content = {
            "anchor": self.anchor.isoformat(),
            "covered_until": self.covered_until.isoformat(),
            "logins": [asdict(login) for login in self.logins],
            "agreed": self.agreed,
        }
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


def load(data_dir: Path) -> DemoState | None:
    """None where no demo was seeded."""
    path = data_dir / STATE_FILE
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return DemoState(
        path,
        datetime.fromisoformat(found["anchor"]),
        datetime.fromisoformat(found["covered_until"]),
        [Login(**login) for login in found["logins"]],
        bool(found.get("agreed")),
    )


def begin(data_dir: Path, now: datetime) -> DemoState:
    """The state of a demo whose history ends about now."""
    anchor = hour_start(now) - timedelta(days=HISTORY_DAYS)
    return DemoState(data_dir / STATE_FILE, anchor, anchor)
