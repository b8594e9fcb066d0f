"""What does not agree between our books and Stripe's: listed while it lasts, closed when it agrees again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import QuerySet

from billing.models import Invoice, StripeDifference

LONGEST = 200


@dataclass(frozen=True)
class Difference:
    """`ours` names the thing on our side (or Stripe's id, where we have none); '' as a value: it is not there."""

    kind: str  # invoice, payment, refund, credit_note, task, usage
    ours: str
    field: str
    our_value: str
    stripe_value: str
    amount: Decimal | None = None
    invoice: Invoice | None = None


@dataclass(frozen=True)
class Kept:
    opened: int
    still_open: int
    closed: int


@transaction.atomic
def keep(found: Iterable[Difference], kinds: Iterable[str], now: datetime) -> Kept:
    """Write down what a comparison of these kinds found, all of it; what was open and was not found again is closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('stripe differences'))")
    before = {(row.kind, row.ours, row.field): row for row in _open().filter(kind__in=list(kinds))}
    opened = 0
    seen = set()
    for each in found:
        key = (each.kind, each.ours[:160], each.field[:64])
        if key in seen:
            continue
        seen.add(key)
        row = before.get(key) or StripeDifference(kind=key[0], ours=key[1], field=key[2], invoice=each.invoice)
        opened += row.pk is None
        row.our_value, row.stripe_value = each.our_value[:LONGEST], each.stripe_value[:LONGEST]
        row.amount = each.amount
        row.save()
    gone = [row.pk for key, row in before.items() if key not in seen]
    _open().filter(pk__in=gone).update(closed_at=now)
    return Kept(opened, len(seen) - opened, len(gone))


def open_differences() -> list[StripeDifference]:
    return list(_open().select_related("invoice").order_by("kind", "ours", "field"))


def _open() -> "QuerySet[StripeDifference]":
    return StripeDifference.objects.filter(closed_at__isnull=True)
