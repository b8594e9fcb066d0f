"""The store of those who chose to have no outbox."""

from tallywatt.stats import Counters
from tallywatt.store import Batch, Limits, Store


class MemoryQueue(Store):
    """No disk: what waits here dies with the process."""

    def __init__(self, limits: Limits, counters: Counters) -> None:
        super().__init__(limits, counters)
        self._lines: dict[str, list[bytes]] = {}

    def sync(self, ticket: int) -> None:
        """There is no disk."""

    def look_around(self) -> None:
        """Dead processes left nothing."""

    def abandon(self) -> None:
        """Nothing is shared with the parent."""

    def _begin(self, name: str) -> Batch:
        self._lines[name] = []
        return Batch(name)

    def _write(self, batch: Batch, framed: bytes) -> None:
        self._lines[batch.name].append(framed)

    def _end(self, batch: Batch) -> None:
        """The list is complete."""

    def _load(self, batch: Batch) -> list[bytes]:
        return list(self._lines[batch.name])

    def _remove(self, batch: Batch) -> None:
        self._lines.pop(batch.name, None)
