"""Revenue and margin of the day so far as tiles. Amounts are exact and per currency; nothing is converted."""

from decimal import Decimal

from billing.contracts import MarginReport
from billing.public import payable
from dashboard import formats
from dashboard.finance.margin_shown import NO_CURRENCY, WHY
from dashboard.operator.tiles import Tile
from dashboard.operator.today import Money

MOST_CURRENCIES = 3


def money_tiles(found: Money | None) -> list[Tile]:
    """A revenue for each currency, and the margin. None: being read."""
    report = found.report if found else None
    if report is None:
        note = "no hour of today is settled yet" if found else "being read"
        return [
            Tile("revenue", "Revenue today", formats.NOTHING, "", note),
            Tile("margin", "Margin today", formats.NOTHING, "", note),
        ]
    upto = f"up to {formats.clock(report.end)}"
    amounts = [one for one in report.total.amounts if one.currency != NO_CURRENCY]
    revenue = [
        Tile("revenue", "Revenue today", *_value(one.revenue, one.currency), upto) for one in amounts[:MOST_CURRENCIES]
    ] or [Tile("revenue", "Revenue today", formats.NOTHING, "", f"no billed usage {upto}")]
    return [*revenue, _margin(report, amounts[0].currency if len(amounts) == 1 else "", upto)]


def _margin(report: MarginReport, currency: str, upto: str) -> Tile:
    total = report.total
    if total.margin is None or not currency:
        why = "; ".join(WHY[gap] for gap in total.gaps[:2]) or "more than one currency"
        return Tile("margin", "Margin today", formats.NOTHING, "", f"not stated: {why}")
    share = "" if total.margin_share is None else f"{total.margin_share * 100:.1f} % of revenue, "
    loss = total.margin < 0
    label = "Loss today" if loss else "Margin today"
    return Tile("margin", label, *_value(total.margin, currency), f"{share}{upto}", "bad" if loss else "")


def _value(amount: Decimal | None, currency: str) -> tuple[str, str]:
    if amount is None:
        return formats.NOTHING, ""
    return formats.signed(payable(amount, currency)), currency
