"""How the cost of an event grows with the table: the same load at 1, 10 and 100 million rows."""

import time
from datetime import UTC, datetime

from bench.bodies import TENANTS
from bench.ingest import Bench, statement, stored_rows
from bench.report import Figure

STAGES = (1_000_000, 10_000_000, 100_000_000)
SECONDS = 15
FILL_ROWS = 2_000_000  # a statement
SPAN_MS = 600_000  # of time of use, in one statement


def measure(bench: Bench) -> list[Figure]:
    for stage in STAGES:
        _fill(stage - stored_rows())
        _wait_for_merges()
        bench.sustained("arrow", SECONDS, name=f"growth.arrow_at_{stage // 1_000_000}m")
    return bench.figures


def _fill(rows: int) -> None:
    """Made-up history of all tenants, inserted by the engine itself: ten minutes a statement, going back in time.

    Marked as observed, as if sealed: no seal reads it.
    """
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    tenants = ", ".join(f"'{tenant}'" for tenant in TENANTS)
    while rows > 0:
        count = min(rows, FILL_ROWS)
        latest_ms = now_ms - rows // FILL_ROWS * SPAN_MS
        statement(
            f"""
            INSERT INTO requests (tenant, time, id, observed, ingested_at, batch, row, model, operation, tier, status, input_tokens,
                cached_input_tokens, output_tokens, ttft_ms, e2e_ms, region, node)
            SELECT [{tenants}][number % {len(TENANTS)} + 1],
                fromUnixTimestamp64Milli({latest_ms} - (number * 7919) % {SPAN_MS}, 'UTC'),
                concat('fill-', toString({rows}), '-', toString(number)), 1, fromUnixTimestamp64Micro({now_ms} * 1000, 'UTC'),
                generateUUIDv4(), number, concat('model-', toString(number % 4)), 'chat', 'standard', 'ok', 500 + number % 1000,
                number % 300, 50 + number % 450, 20 + number % 80, 900 + number % 4000, 'eu-west', concat('node-', toString(number % 16))
            FROM numbers({count})
            """
        )
        rows -= count


def _wait_for_merges() -> None:
    """A fill leaves merges behind that no provider would have all at once; at most two minutes."""
    deadline = time.monotonic() + 120
    while statement("SELECT count() FROM system.merges")[0][0] and time.monotonic() < deadline:
        time.sleep(1)
