"""The energy step of telemetry processing: computes the minutes of a span and replaces what was written for them.

What each failure leaves behind: a crash in between leaves some rows of the new version and some of the old, and the span due, so that
the next run computes it whole; no row of an older version outlives that.
"""

import logging
import time
from datetime import timedelta

import numpy as np
import pyarrow as pa
from django.conf import settings

from metering import moments
from metering.clickhouse import client
from metering.clickhouse.queries.energy_writes import (
    BlankAttributed,
    BlankWindows,
    WriteAttributedHours,
    WriteHours,
    Written,
)
from metering.clickhouse.queries.reconciliation import WriteReconciliationHours
from metering.telemetry.energy import days, reading, rows
from metering.telemetry.energy.attribution import TOLERANCE
from metering.telemetry.energy.blocks import Attributed, attribute, starts
from metering.telemetry.spans import MINUTE, Span

logger = logging.getLogger(__name__)
TIMEOUT_S = 120.0
PLAIN_INSERT = {"async_insert": 0}
# Of the settle time, what is left for events and samples to arrive in; the rest is for a surplus to be made good.
ARRIVING = timedelta(minutes=2)


def look() -> int:
    """Within how many minutes a surplus of an engine's counters over its events may be made good.

    Telling takes twice as long: a minute is settled once nothing in that time can change it any more (see missing.py).
    """
    return max((settings.ENERGY_SETTLE - ARRIVING) // (2 * MINUTE), 1)


def reach() -> timedelta:
    """How far around what it tells of an event or sample changes windows."""
    return 2 * look() * MINUTE


def write(span: Span) -> None:
    """Compute the minutes of `span` and replace what was written for them. Raises ClickHouseUnavailable or ClickHouseRefused."""
    version = time.time_ns() // 1000
    days.taken_back(span)
    for nodes in reading.shares_of_nodes(span, look()):
        found = attribute(reading.block(span, look(), nodes))
        _report(found)
        _insert("energy_windows", rows.window_rows(found, version))
        _insert("energy_attributed", rows.attributed_rows(found, version))
    written = Written(moments.seconds(span.start), moments.seconds(span.end), version)
    for query in (
        BlankWindows(written),
        BlankAttributed(written),
        WriteHours(written),
        WriteAttributedHours(written),
        WriteReconciliationHours(written),
    ):
        text, parameters = query.sql()
        client.statement(query.name, text, parameters, timeout_s=TIMEOUT_S, settings=PLAIN_INSERT)


def _insert(table: str, found: pa.Table) -> None:
    if found.num_rows:
        client.insert_columns(f"write_{table}", table, found, timeout_s=TIMEOUT_S, settings=PLAIN_INSERT)


def _report(found: Attributed) -> None:
    """Say of which windows the terms do not come to the counter; the rows keep by how much."""
    for energy in found.energies:
        errors = energy.terms.conservation_error[0]
        if not (errors > TOLERANCE).any():
            continue
        worst = int(np.argmax(errors))
        at = starts(found.block)[energy.part.windows][worst]
        logger.error(
            "energy is not conserved on %s (%s) in %s windows; the worst is off by %.3g of its counter, at %s",
            energy.part.node,
            ", ".join(energy.part.group.engines) or "no engine",
            int((errors > TOLERANCE).sum()),
            errors[worst],
            moments.from_microseconds(int(at) * 10**6).isoformat(),
        )
