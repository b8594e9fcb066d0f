"""How long to wait before the next attempt."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass
class Backoff:
    """Exponential with full jitter: senders that failed together do not come back together.

    `slow` waits are for what a person has to mend (a revoked key, a wrong URL): trying hard would help nobody.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    slow_s: float = 60.0
    longest_asked_s: float = 600.0
    attempt: int = 0

    def succeeded(self) -> None:
        self.attempt = 0

    def wait_s(self, *, retry_after_s: float = 0.0, slow: bool = False) -> float:
        """A server's Retry-After is a lower bound; the jitter comes on top of it."""
        span = min(self.longest_s, self.first_s * 2 ** min(self.attempt, 32))
        self.attempt += 1
        least = max(min(retry_after_s, self.longest_asked_s), self.slow_s if slow else 0.0)
        return least + random.uniform(0, span)  # noqa: S311 - not a secret


def retry_after_s(value: str | None) -> float:
    """The header in seconds, from either of its forms; 0 if it is missing or makes no sense."""
    if not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
