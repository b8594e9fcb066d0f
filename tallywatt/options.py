"""What a client is told when it is made. One class for both clients, so that they take the same words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypedDict

import httpx

from tallywatt.backoff import Backoff
from tallywatt.deadletters import OnRejected
from tallywatt.events import NAMES
from tallywatt.pace import Pace
from tallywatt.store import Limits, WhenFull
from tallywatt.wire import Format

PATH = "/api/v1/events"
LOOSE = ("id", "time", "input_tokens", "output_tokens")  # no two events share them


class OptionWords(TypedDict, total=False):
    """The options as words of a constructor."""

    defaults: Mapping[str, Any]
    format: Format
    gzip: bool
    batch_events: int
    batch_bytes: int
    batch_age_s: float
    fsync_ms: int
    outbox_max_bytes: int
    queue_max_bytes: int
    when_full: WhenFull
    on_rejected: OnRejected | None
    timeout_s: float
    retry_first_s: float
    retry_longest_s: float
    refused_wait_s: float
    exit_timeout_s: float
    verify: bool | SSLContext


@dataclass(frozen=True, kw_only=True)
class Options:
    """See docs/client.md for what each means. Raises ValueError for one that makes no sense."""

    url: str
    key: str = field(repr=False)
    outbox: Path | None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    format: Format = "ndjson"
    gzip: bool = False
    batch_events: int = 1000  # the server lists at most so many rejected events in one answer
    batch_bytes: int = 1024 * 1024
    batch_age_s: float = 1.0
    fsync_ms: int = 100
    outbox_max_bytes: int = 1024**3
    queue_max_bytes: int = 64 * 1024**2
    when_full: WhenFull = "raise"
    on_rejected: OnRejected | None = None
    timeout_s: float = 30.0
    retry_first_s: float = 0.5
    retry_longest_s: float = 30.0
    refused_wait_s: float = 60.0
    exit_timeout_s: float = 5.0
    verify: bool | SSLContext = True
    path: str = PATH  # of the endpoint; the node agent has others
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        parsed = httpx.URL(self.url)
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError(f"url is {self.url!r}, expected one such as https://tallywatt.example.com")
        if not self.key or not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise ValueError("key is not an API key: it looks like tw_...")
        if self.when_full not in {"raise", "drop_oldest"}:
            raise ValueError(f"when_full is {self.when_full!r}, expected 'raise' or 'drop_oldest'")
        for name in (
            "batch_events",
            "batch_bytes",
            "outbox_max_bytes",
            "queue_max_bytes",
            "timeout_s",
            "retry_first_s",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("fsync_ms", "batch_age_s", "exit_timeout_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if wrong := [name for name in self.defaults if name not in NAMES or name in LOOSE]:
            raise ValueError(f"defaults has {wrong[0]!r}, expected names of fields that events may share")

    @property
    def endpoint(self) -> str:
        return self.url.rstrip("/") + self.path

    @property
    def limits(self) -> Limits:
        most = self.queue_max_bytes if self.outbox is None else self.outbox_max_bytes
        return Limits(self.batch_events, self.batch_bytes, self.batch_age_s, most, self.when_full)

    @property
    def backoff(self) -> Backoff:
        return Backoff(self.retry_first_s, self.retry_longest_s, self.refused_wait_s)

    @cached_property
    def _tls(self) -> SSLContext:
        """Made once, for it takes a while; a fork may share it."""
        return httpx.create_ssl_context(self.verify)

    @property
    def http(self) -> dict[str, Any]:
        """For httpx.Client and httpx.AsyncClient alike."""
        return {
            "headers": {"Authorization": f"Bearer {self.key}", "User-Agent": "tallywatt-python"},
            "timeout": httpx.Timeout(self.timeout_s, connect=min(5.0, self.timeout_s)),
            "verify": self._tls,
        }
