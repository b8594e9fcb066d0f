"""How gently a sender begins, and how gently it catches up: thousands of nodes may wait for the same server to come back."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Both waits are drawn anew every time, so that a fleet spreads out. The defaults hold up nothing."""

    first_wait_s: float = 0.0  # the first attempt comes at a random moment within so many seconds
    pause_s: float = 0.0  # the mean pause after a batch while more waits
    most_bytes_per_s: float = 0.0  # the same by the size of the batch; 0: no limit

    def before_first_s(self) -> float:
        return random.uniform(0, self.first_wait_s)  # noqa: S311 - not a secret

    def between_s(self, size: int) -> float:
        """After a batch of `size` bytes."""
        mean_s = max(self.pause_s, size / self.most_bytes_per_s if self.most_bytes_per_s else 0.0)
        return mean_s * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
