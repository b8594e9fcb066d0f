"""The double-entry ledger of credit: what each grant holds, postings that sum to zero, and the locks under which they are made.

Every posting moves amounts between `credit:<grant>` and one account against it. Whoever takes from a grant holds its row locked until
the commit, and has read what is left after getting the lock: so two takers never spend a cent twice. All rows of a transaction are
locked by one statement, in the order of their ids: so two takers never wait for each other.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from billing.models import CreditEntry, CreditGrant, CreditTransaction

CASH, PROMOTION, EXPIRED, REFUNDED, CARRIED = "cash", "promotion", "expired", "refund", "carried"
# Where a grant comes from: money, a gift, or an invoice below zero.
ORIGIN = {
    CreditGrant.Kind.PAID: CASH,
    CreditGrant.Kind.PROMOTIONAL: PROMOTION,
    CreditGrant.Kind.CARRIED: CARRIED,
}
ZERO = Decimal(0)


class CreditRefused(ValueError):
    """What was asked for cannot be done with this credit, and why."""


@dataclass(frozen=True)
class Held:
    """A grant and what is left of it."""

    grant: CreditGrant
    left: Decimal


@dataclass(frozen=True)
class Leg:
    """What a grant gains (negative: loses), and the account that it comes from or goes to."""

    grant_id: int
    against: str
    amount: Decimal


@dataclass(frozen=True)
class Posting:
    """One transaction to be. `reference` is unique for ever: a posting that is made twice fails the second time."""

    type: CreditTransaction.Type
    tenant: str
    currency: str
    reference: str
    legs: tuple[Leg, ...]
    note: str = ""
    by: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def account_of(grant_id: int) -> str:
    return f"credit:{grant_id}"


def invoice_account(number: str) -> str:
    return f"invoice:{number}"


def post(postings: Sequence[Posting]) -> list[CreditTransaction]:
    """Write them in this order, in two statements whatever their number. The caller's transaction and locks hold them together."""
    rows = CreditTransaction.objects.bulk_create(
        [
            CreditTransaction(
                type=posting.type,
                tenant=posting.tenant,
                currency=posting.currency,
                reference=posting.reference,
                note=posting.note[:500],
                created_by=posting.by,
                detail=posting.detail,
            )
            for posting in postings
        ]
    )
    CreditEntry.objects.bulk_create(
        [
            entry
            for row, posting in zip(rows, postings, strict=True)
            for leg in posting.legs
            for entry in _both_sides(row, leg)
        ]
    )
    return rows


def _both_sides(row: CreditTransaction, leg: Leg) -> tuple[CreditEntry, CreditEntry]:
    return (
        CreditEntry(transaction=row, account=account_of(leg.grant_id), grant_id=leg.grant_id, amount=leg.amount),
        CreditEntry(transaction=row, account=leg.against, amount=-leg.amount),
    )


def open_grants(tenants: Collection[str]) -> list[Held]:
    """Grants of these tenants that hold anything, without a lock: to show, to plan with, never to take from."""
    rows = CreditGrant.objects.filter(tenant__in=tenants).annotate(left=Sum("entries__amount")).filter(left__gt=0)
    return [Held(row, row.left) for row in rows.order_by("pk")]


def locked_open_grants(tenants: Collection[str]) -> list[Held]:
    """The same, locked until the caller's transaction ends. What a release puts back into an empty grant meanwhile is not seen."""
    ids = [held.grant.pk for held in open_grants(tenants)]
    return locked(ids) if ids else []


def locked(grant_ids: Iterable[int]) -> list[Held]:
    """These grants, locked, with what is left of them read after the lock."""
    # NO KEY: inserting an entry takes a key share of its grant, which needs not wait.
    rows = list(CreditGrant.objects.filter(pk__in=list(grant_ids)).order_by("pk").select_for_update(no_key=True))
    left = left_of([row.pk for row in rows])
    return [Held(row, left[row.pk]) for row in rows]


def left_of(grant_ids: Sequence[int], *, before: int | None = None) -> dict[int, Decimal]:
    """What each grant holds; `before`: as it was before the transaction of this id."""
    entries = CreditEntry.objects.filter(grant__in=grant_ids)
    if before is not None:
        entries = entries.filter(transaction_id__lt=before)
    sums = dict(entries.order_by().values_list("grant_id").annotate(Sum("amount")))
    return {grant_id: sums.get(grant_id, ZERO) for grant_id in grant_ids}


def transactions_about(number: str) -> list[CreditTransaction]:
    """What an invoice used of credit, in the order in which it was posted: promotional before tax, then what pays the total."""
    return list(
        CreditTransaction.objects.filter(reference__in=[promotional_reference(number), payment_reference(number)])
    )


def promotional_reference(number: str) -> str:
    return f"promotional:{number}"


def payment_reference(number: str) -> str:
    return f"payment:{number}"
