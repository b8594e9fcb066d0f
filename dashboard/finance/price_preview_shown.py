"""Price previews as text: totals, customers with the worst shock first, and their CSV. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.public import Bill, CustomerPreview, Preview, PreviewTotal, payable, plain
from dashboard import formats
from dashboard.finance.prices_shown import share
from dashboard.operator.tiles import Tile

MOST_SHOWN = 500  # the CSV has all
COLUMNS = (
    "tenant",
    "currency",
    "period_start",
    "period_end",
    "before",
    "after",
    "change",
    "unpriced_lines_before",
    "unpriced_lines_after",
)


@dataclass(frozen=True)
class CustomerLine:
    """Amounts to the minor unit. `shock`: the bill that rises most, and its period."""

    tenant: str
    currency: str
    bills: str
    before: str
    after: str
    rise: str
    share: str
    shock: str
    shock_share: str
    shock_period: str
    dearer: bool
    unpriced: int


def totals(found: Preview) -> list[tuple[str, list[Tile]]]:
    """A row of tiles for each currency."""
    return [(one.currency, _tiles(one)) for one in found.totals]


def customers(found: Preview) -> list[CustomerLine]:
    return [_line(one) for one in found.customers[:MOST_SHOWN]]


def unpriced(found: Preview) -> list[str]:
    """Customers with lines that would have no price: their invoices could not be made."""
    return [one.tenant for one in found.customers if one.unpriced]


def csv_rows(found: Preview) -> Iterator[list[Any]]:
    for one in found.customers:
        for bill in one.bills:
            yield [
                one.tenant,
                one.currency,
                f"{bill.period.start:%Y-%m-%dT%H:%M:%SZ}",
                f"{bill.period.end:%Y-%m-%dT%H:%M:%SZ}",
                *(plain(payable(amount, one.currency)) for amount in (bill.before, bill.after, bill.rise)),
                bill.unpriced_before,
                bill.unpriced_after,
            ]


def _tiles(one: PreviewTotal) -> list[Tile]:
    currency = one.currency
    return [
        Tile("before", "As it was", _money(one.before, currency), currency, "before tax and credits"),
        Tile("after", "Under this version", _money(one.after, currency), currency, "the same usage, rated again"),
        Tile("change", "Change", _rise(one.rise, currency), currency, share(one.share) or "from nothing"),
        Tile(
            "customers",
            "Customers who pay more",
            formats.whole(one.more),
            "",
            f"less: {formats.whole(one.less)}, the same: {formats.whole(one.same)}",
        ),
    ]


def _line(one: CustomerPreview) -> CustomerLine:
    worst = one.shock
    return CustomerLine(
        one.tenant,
        one.currency,
        formats.whole(len(one.bills)),
        _money(one.before, one.currency),
        _money(one.after, one.currency),
        _rise(one.rise, one.currency),
        share(one.share) or formats.NOTHING,
        _rise(worst.rise, one.currency),
        share(_share_of(worst)) or formats.NOTHING,
        f"{worst.period.start:%Y-%m-%d}",
        worst.rise > 0,
        one.unpriced,
    )


def _share_of(bill: Bill) -> Decimal | None:
    return bill.rise / bill.before if bill.before else None


def _money(amount: Decimal, currency: str) -> str:
    return formats.signed(payable(amount, currency))


def _rise(amount: Decimal, currency: str) -> str:
    return f"{'+' if amount > 0 else ''}{_money(amount, currency)}"
