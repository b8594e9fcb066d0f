"""Numbers without gaps: a series' row is locked while its next numbers are taken, and they are used in that transaction or not at all."""

from django.db import transaction

from billing.models import InvoiceSeries

INVOICES = "TW"
CREDIT_NOTES = "CN"


def take_numbers(count: int, *, year: int, series: str = INVOICES) -> list[str]:
    """The next `count` numbers of a year, such as TW-2026-000001. The series stays locked until the caller's transaction ends.

    Raises RuntimeError outside a transaction, where a number could be lost.
    """
    held = locked(series, year)
    InvoiceSeries.objects.filter(pk=held.pk).update(last=held.last + count)
    return [f"{held.name}-{held.last + n:06d}" for n in range(1, count + 1)]


def locked(series: str, year: int) -> InvoiceSeries:
    """What is read after this, no other taker of numbers changes before this transaction ends."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("numbers are taken in the transaction that uses them")
    name = f"{series}-{year}"
    InvoiceSeries.objects.get_or_create(name=name)
    return InvoiceSeries.objects.select_for_update().get(name=name)
