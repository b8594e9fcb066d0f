"""The books of credit, computed anew from their entries and held against what grants, transactions and invoices say."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Case, CharField, F, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Cast, Coalesce, Concat

from billing import rating
from billing.models import CreditEntry, CreditGrant, CreditTransaction, Invoice
from billing.models.base import money
from billing.rating import LineType

ZERO = Value(Decimal(0), output_field=money())
Type = CreditTransaction.Type
# What each type of transaction does to a grant: +1 fills, -1 takes.
DIRECTION = {Type.GRANT: 1, Type.RELEASE: 1, Type.APPLY: -1, Type.EXPIRE: -1, Type.REFUND: -1, Type.REVOKE: -1}


@dataclass(frozen=True)
class Difference:
    """Something in the books that does not add up. `about`: a grant, a transaction, an invoice."""

    about: str
    problem: str


def check_balanced() -> list[Difference]:
    """Every difference; none: the books balance. Reads everything, changes nothing."""
    checks = (_transactions, _directions, _accounts, _grants, _owners, _invoices, _unknown_invoices)
    return [found for check in checks for found in check()]


def _transactions() -> Iterator[Difference]:
    """Every transaction has entries, and they sum to zero."""
    rows = CreditTransaction.objects.annotate(sum=Sum("entries__amount"))
    for row in rows.filter(~Q(sum=0) | Q(sum__isnull=True)).order_by("pk"):
        found = "has no entries" if row.sum is None else f"sums to {_plain(row.sum)}, not to zero"
        yield Difference(f"transaction {row.reference}", found)


def _directions() -> Iterator[Difference]:
    """What fills grants only fills them, what takes only takes."""
    wrong = Q()
    for kind, sign in DIRECTION.items():
        wrong |= Q(transaction__type=kind) & (Q(amount__lte=0) if sign > 0 else Q(amount__gte=0))
    for row in CreditEntry.objects.filter(wrong, grant__isnull=False).select_related("transaction").order_by("pk"):
        yield Difference(
            f"transaction {row.transaction.reference}", f"a {row.transaction.type} of {_plain(row.amount)}"
        )


def _accounts() -> Iterator[Difference]:
    """An entry of a grant stands on the grant's account, and no other does."""
    own = Concat(Value("credit:"), Cast("grant_id", CharField()))
    misplaced = Q(grant__isnull=False) & ~Q(account=own) | Q(grant__isnull=True, account__startswith="credit:")
    for row in CreditEntry.objects.filter(misplaced).order_by("pk"):
        yield Difference(f"entry {row.pk}", f"stands on {row.account} and belongs to grant {row.grant_id}")


def _grants() -> Iterator[Difference]:
    """A grant was filled once with its amount, and holds neither less than nothing nor more than that."""
    filled = Sum(Case(When(entries__transaction__type=Type.GRANT, then=F("entries__amount"))))
    rows = CreditGrant.objects.annotate(left=Coalesce(Sum("entries__amount"), ZERO), filled=Coalesce(filled, ZERO))
    wrong = Q(left__lt=0) | Q(left__gt=F("amount")) | ~Q(filled=F("amount"))
    for row in rows.filter(wrong).order_by("pk"):
        if row.filled != row.amount:
            yield Difference(
                f"grant {row.pk}", f"was filled with {_plain(row.filled)}, its amount is {_plain(row.amount)}"
            )
        else:
            yield Difference(f"grant {row.pk}", f"holds {_plain(row.left)} of {_plain(row.amount)}")


def _owners() -> Iterator[Difference]:
    """Nobody's credit pays for somebody else, nor in another currency."""
    rows = CreditEntry.objects.filter(grant__isnull=False).exclude(
        grant__tenant=F("transaction__tenant"), grant__currency=F("transaction__currency")
    )
    for row in rows.select_related("transaction", "grant").order_by("pk"):
        held, used = row.grant, row.transaction
        if held is not None:
            yield Difference(
                f"transaction {used.reference}",
                f"of {used.tenant} in {used.currency} touches grant {held.pk} of {held.tenant} in {held.currency}",
            )


def _invoices() -> Iterator[Difference]:
    """What an invoice says of credit is what the ledger says: its credit lines, what paid it, nothing once it is void."""
    credit = Sum("lines__amount", filter=Q(lines__type=LineType.CREDIT))
    rows = Invoice.objects.filter(finalised_at__isnull=False).annotate(
        lines_covered=Coalesce(-credit, ZERO),
        covered=_used("promotional:"),
        paid=_used("payment:"),
        net=Coalesce(
            Subquery(
                CreditEntry.objects.filter(account=Concat(Value("invoice:"), OuterRef("number")))
                .order_by()
                .values("account")
                .annotate(sum=Sum("amount"))
                .values("sum")
            ),
            ZERO,
        ),
        carried=Coalesce(
            Subquery(CreditGrant.objects.filter(source=Concat(Value("carried:"), OuterRef("number"))).values("amount")),
            ZERO,
        ),
    )
    touched = ~Q(lines_covered=0) | ~Q(covered=0) | ~Q(paid=0) | ~Q(net=0) | ~Q(carried=0) | ~Q(credits_applied=0)
    for row in rows.filter(touched).select_related("state").order_by("pk"):
        left = Decimal(0) if row.state.status == "void" else row.covered + row.paid
        for problem in (
            _unlike("credit lines", row.lines_covered, row.covered),
            _unlike("credit applied", row.credits_applied, row.paid - row.carried),
            _unlike("credit kept", left, row.net),
        ):
            if problem:
                yield Difference(f"invoice {row.number}", problem)


def _unknown_invoices() -> Iterator[Difference]:
    """Credit went to an invoice that is not there."""
    final = Invoice.objects.filter(finalised_at__isnull=False).annotate(held=Concat(Value("invoice:"), "number"))
    rows = CreditEntry.objects.filter(account__startswith="invoice:").exclude(account__in=final.values("held"))
    for row in rows.values("account").order_by("account").annotate(sum=Sum("amount")):
        yield Difference(row["account"].replace(":", " "), f"took {_plain(row['sum'])} and does not exist")


def _used(prefix: str) -> Coalesce:
    """What an invoice used by the transaction of this kind, whatever was given back later."""
    entries = CreditEntry.objects.filter(
        transaction__reference=Concat(Value(prefix), OuterRef("number")), grant__isnull=True
    )
    sums = entries.order_by().values("transaction").annotate(sum=Sum("amount")).values("sum")
    return Coalesce(Subquery(sums), ZERO)


def _unlike(what: str, said: Decimal, found: Decimal) -> str:
    return "" if said == found else f"{what}: {_plain(said)} by the invoice, {_plain(found)} by the ledger"


def _plain(amount: Decimal) -> str:
    return rating.plain(amount)
