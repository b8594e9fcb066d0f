"""Usage that arrives after an invoice was made."""

from datetime import datetime, timedelta
from typing import Any

from metering.models import IngestHost
from tests.billing.conftest import Use


class Late:
    """`late(tenant, {...})`: events that arrive a minute after everything before them, and are settled."""

    def __init__(self, use: Use, settled: datetime) -> None:
        self.use, self.settled = use, settled

    def __call__(self, tenant: str, *rows: dict[str, Any]) -> None:
        arrived = self.settled + timedelta(minutes=1)
        self.settled += timedelta(minutes=2)
        stamp = arrived.isoformat()
        self.use(tenant, *({"id": f"late-{stamp}-{n}", "ingested_at": arrived} | row for n, row in enumerate(rows)))
        IngestHost.objects.update(settled_before=self.settled)


def use_late(use: Use, tenant: str, *rows: dict[str, Any]) -> None:
    """As `Late`, where the host has settled so far."""
    Late(use, IngestHost.objects.get().settled_before)(tenant, *rows)
