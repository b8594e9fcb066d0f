"""Which months each tenant used anything in: what billing needs to know before it asks for the usage itself."""

from collections import defaultdict
from datetime import UTC, date, datetime

from metering.clickhouse import client
from metering.clickhouse.queries.months_used import MonthsUsed
from metering.contracts import SealInfo
from metering.ledger import abandoned_up_to

MAX_ROWS = 5_000_000
TIMEOUT_S = 60


def months_used(as_of: SealInfo, *, tenant: str | None = None) -> dict[str, frozenset[date]]:
    """The first days of the calendar months (UTC) with requests in the ledger or events of meters, as of a seal, by tenant.

    A month may be named whose events are all of a meter that is gone, or of no price: that is for the caller to find out.
    """
    query = MonthsUsed(as_of.id, as_of.watermark, tenant, abandoned_up_to(as_of.id))
    found: defaultdict[str, set[date]] = defaultdict(set)
    for key, month_s in client.run(query, timeout_s=TIMEOUT_S, max_rows=MAX_ROWS).rows:
        found[key].add(datetime.fromtimestamp(month_s, UTC).date())
    return {key: frozenset(months) for key, months in found.items()}
