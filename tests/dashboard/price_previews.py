"""A price preview with a result, as a worker leaves it."""

from datetime import UTC, datetime
from typing import Any

from billing.models import PriceBookVersion, PricePreview

BILL = {"start": "2026-01-01T00:00:00+00:00", "end": "2026-02-01T00:00:00+00:00", "unpriced": [0, 0]}


def put_preview(number: int, *customers: dict[str, Any]) -> None:
    """Of the list's newest version. `customers`: {"tenant", "bills": [(before, after), ...]}."""
    PricePreview.objects.create(
        pk=number,
        version=PriceBookVersion.objects.filter(book__name="list").latest("number"),
        months=3,
        until=datetime(2026, 2, 2, tzinfo=UTC),
        state="done",
        seal=1,
        price_versions={"list": 1},
        result={"customers": [_customer(**one) for one in customers]},
    )


def _customer(tenant: str, bills: list[tuple[str, str]], currency: str = "USD", unpriced: int = 0) -> dict[str, Any]:
    made = [BILL | {"before": before, "after": after, "unpriced": [0, unpriced]} for before, after in bills]
    return {"tenant": tenant, "currency": currency, "bills": made}
