"""Taking duplicates out of the live rollups once a seal has found them, exactly once for each seal.

A materialised view counts what arrives, so an event that came in two batches is live twice until the seal knows better. Events of
observing keys are in the rollups and never sealed: their duplicates stay, and no page shows them.

What each failure leaves behind: a crash before the insert leaves a seal without `corrected_at`, which the next run takes up; one
after it the same, and then the token makes the repetition a no-op, in `requests_minute` and in what cascades from it.
A token is remembered for 10,000 blocks of a table, hours of ingest; a run comes by every minute.
"""

import logging

from django.utils import timezone

from metering import moments
from metering.advisory import advisory_lock
from metering.clickhouse import client
from metering.clickhouse.queries.rollups import SubtractDuplicates
from metering.ingest.sink import ONE_BLOCK
from metering.ledger import SEAL_TIMEOUT_S, arrivals_scope
from metering.models import Seal

logger = logging.getLogger(__name__)
ADVISORY_LOCK = 0x7A11_0002  # one correction at a time over all hosts


def correct() -> int:
    """Correct the rollups for every completed seal that was not yet; returns how many seals. 0 at once if another process is at it.

    Raises ClickHouseUnavailable or ClickHouseRefused; the seals that are left wait for the next run.
    """
    waiting = Seal.objects.filter(state=Seal.State.COMPLETED, corrected_at=None)
    with advisory_lock(ADVISORY_LOCK) as alone:
        if not alone:
            return 0
        done = waiting.filter(duplicates=0).update(corrected_at=timezone.now())
        for seal in waiting.order_by("id"):
            _subtract(seal)
            done += Seal.objects.filter(pk=seal.pk).update(corrected_at=timezone.now())
        return done


def correct_if_possible() -> None:
    """As `correct`, for callers whose own work is done: a ClickHouse in trouble leaves it to the next run."""
    try:
        correct()
    except (client.ClickHouseUnavailable, client.ClickHouseRefused) as error:
        logger.warning("the live rollups keep their duplicates for now: %s", error)


def _subtract(seal: Seal) -> None:
    scope, _ = arrivals_scope(seal.watermark_from, seal.watermark)
    query = SubtractDuplicates(scope)
    sql, parameters = query.sql()
    # The moment belongs to it: ids begin anew if PostgreSQL is lost and ClickHouse is not.
    token = f"duplicates-of-seal-{seal.pk}-{moments.microseconds(seal.claimed_at)}"
    settings = ONE_BLOCK | {"insert_deduplication_token": token}
    client.statement(query.name, sql, parameters, timeout_s=SEAL_TIMEOUT_S, settings=settings)
