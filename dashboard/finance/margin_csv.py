"""Margins as lines of CSV: exact amounts, the columns of `GET /api/v1/margin?format=csv`."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from billing.contracts import MarginAmounts, MarginRow
from billing.public import plain
from dashboard.formats import J_PER_KWH

COLUMNS = (
    "window_start",
    "tenant",
    "model",
    "label",
    "requests",
    "measured_requests",
    "unpriced_tokens",
    "energy_kwh",
    "gpu_hours",
    "currency",
    "revenue",
    "energy_cost",
    "gpu_cost",
    "margin",
    "margin_share",
    "gaps",
    "simulated",
)


def csv_rows(rows: Iterable[MarginRow]) -> Iterator[list[Any]]:
    """A line for each currency of a row; what is not money stands on the first of them alone, so that columns add up."""
    for row in rows:
        for position, amounts in enumerate(row.amounts or (None,)):
            yield [
                f"{row.window_start:%Y-%m-%dT%H:%M:%SZ}",
                row.tenant,
                row.model,
                row.label,
                *(_quantities(row) if position == 0 else [""] * 5),
                *_money(amounts),
                _text(row.margin),
                _text(row.margin_share),
                " ".join(row.gaps),
                "true" if row.simulated else "false",
            ]


def _quantities(row: MarginRow) -> list[Any]:
    kwh, gpu_hours = row.energy_j / J_PER_KWH, row.gpu_s / 3600
    return [row.requests, row.measured_requests, row.unpriced_tokens, f"{kwh:.9f}", f"{gpu_hours:.6f}"]


def _money(one: MarginAmounts | None) -> list[str]:
    if one is None:
        return [""] * 4
    return [one.currency, *(_text(side) for side in (one.revenue, one.energy_cost, one.gpu_cost))]


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else plain(amount)
