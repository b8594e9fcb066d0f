"""Credit on invoices: which grants cover what, written in the transaction that finalises them.

Promotional credit becomes lines before tax. Then paid and carried credit pays the total; a total below zero is carried over into a
grant of its own. One plan serves drafts, finalising and audits; only finalising locks grants and writes.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing import credit_cells as cells_of
from billing import credit_ledger as ledger
from billing import rating
from billing.credit_grants import Carry, carried_source, carry
from billing.credit_ledger import Held, Leg, Posting
from billing.models import CreditGrant, CreditTransaction
from billing.rating import exact

PROMOTIONAL = CreditGrant.Kind.PROMOTIONAL
BY = "billing"
Covered = dict[tuple[int, Decimal], Decimal]  # by grant and tax rate


@dataclass(frozen=True)
class Charges:
    """An invoice to be, as credit sees it. `lines` have their tax rate and no credit yet; `cells` are the amounts of usage lines by time,
    cut at `cut_at` (see `edges`). A line without cells is one of its own start and end. `number`: of the invoice, any name in a draft.
    """

    number: str
    tenant: str
    currency: str
    period_start: datetime
    period_end: datetime
    lines: tuple[rating.Line, ...]
    cells: tuple[rating.Cell, ...] = ()
    cut_at: tuple[datetime, ...] = ()


@dataclass(frozen=True)
class Applied:
    """`lines`: to append to the invoice, before tax. `credits_applied`: of its total; below zero it is the total that is carried over."""

    lines: tuple[rating.Line, ...] = ()
    credits_applied: Decimal = exact.ZERO


@dataclass(frozen=True)
class _Plan:
    charges: Charges
    considered: tuple[tuple[int, Decimal], ...]  # what each grant held before
    covered: Covered = field(default_factory=dict)
    paid: dict[int, Decimal] = field(default_factory=dict)
    lines: tuple[rating.Line, ...] = ()
    total: Decimal = exact.ZERO

    @property
    def applied(self) -> Applied:
        paid = exact.total(self.paid.values())
        return Applied(self.lines, self.total if self.total < 0 else paid)


def apply_to_drafts(charges: Sequence[Charges]) -> dict[str, Applied]:
    """Spend what covers these invoices, by number. Within the transaction that finalises them: its end keeps or undoes both.

    A constant number of statements for any number of invoices. Of one tenant, earlier periods come first.
    """
    plans = _plans(charges, ledger.locked_open_grants({one.tenant for one in charges}))
    ledger.post([posting for plan in plans for posting in _postings(plan)])
    carry([_carried(plan) for plan in plans if plan.total < 0])
    return {plan.charges.number: plan.applied for plan in plans}


def preview(charges: Sequence[Charges]) -> dict[str, Applied]:
    """What credit would do now, without locks and without writing anything."""
    plans = _plans(charges, ledger.open_grants({one.tenant for one in charges}))
    return {plan.charges.number: plan.applied for plan in plans}


def again(charges: Charges) -> Applied:
    """What finalising this invoice did, computed anew from the ledger as it was then: for audits. Cut its cells at `cut_at(number)`.

    An invoice that used no credit has none to compute: what was considered and not used is not on record.
    """
    posted = ledger.transactions_about(charges.number)
    considered = [grant_id for row in posted[:1] for grant_id, _ in row.detail["considered"]]
    left = ledger.left_of(considered, before=posted[0].pk) if posted else {}
    grants = CreditGrant.objects.in_bulk(considered)
    (plan,) = _plans([charges], [Held(grants[grant_id], left[grant_id]) for grant_id in considered])
    return plan.applied


def cut_at(number: str) -> tuple[datetime, ...]:
    """Where the cells of a final invoice were cut."""
    for row in ledger.transactions_about(number):
        return tuple(datetime.fromisoformat(text) for text in row.detail["cut_at"])
    return ()


def edges(tenants: Iterable[str], start: datetime, end: datetime) -> dict[str, tuple[datetime, ...]]:
    """Where the usage of `(start, end)` is to be cut, by tenant: moments at which one of its open grants begins or expires.

    On quarters of an hour, in order; a tenant without such a moment is not in the answer.
    """
    found: dict[str, set[datetime]] = {}
    for held in ledger.open_grants(set(tenants)):
        for moment in (held.grant.effective_from, held.grant.expires_at):
            if moment is not None and start < moment < end:
                found.setdefault(held.grant.tenant, set()).add(moment)
    return {tenant: tuple(sorted(moments)) for tenant, moments in found.items()}


def _plans(charges: Sequence[Charges], held: Sequence[Held]) -> list[_Plan]:
    left = {one.grant.pk: one.left for one in held}
    grants: dict[tuple[str, str], list[CreditGrant]] = {}
    for one in held:
        grants.setdefault((one.grant.tenant, one.grant.currency), []).append(one.grant)
    ordered = sorted(charges, key=lambda one: (one.tenant, one.period_start, one.number))
    return [_plan(one, grants.get((one.tenant, one.currency), []), left) for one in ordered]


def _plan(charges: Charges, grants: Sequence[CreditGrant], left: dict[int, Decimal]) -> _Plan:
    """`left` is brought up to date."""
    considered = tuple((grant.pk, left[grant.pk]) for grant in grants if left[grant.pk] > 0)
    if not considered:
        return _Plan(charges, (), total=_total(charges.lines, charges.currency))
    parts = cells_of.coverable(charges.lines, charges.cells, charges.currency)
    promotional = [grant for grant in grants if grant.kind == PROMOTIONAL]
    burns = _burn([part.cell for part in parts], promotional, left, charges.currency)
    covered, taken = _by_rate(burns, parts), _by_part(burns)
    lines = tuple(_line(charges, grant, rate, amount, left) for (grant, rate), amount in _named(covered, promotional))
    all_lines = (*charges.lines, *lines)
    total = _total(all_lines, charges.currency)
    paid: dict[int, Decimal] = {}
    if total > 0:
        subtotal = exact.total(line.amount or exact.ZERO for line in all_lines)
        due = cells_of.payable(
            parts, taken, total=total, subtotal=subtotal, end=charges.period_end, currency=charges.currency
        )
        money = [grant for grant in grants if grant.kind != PROMOTIONAL]
        paid = _by_grant(_burn(due, money, left, charges.currency))
    return _Plan(charges, considered, covered, paid, lines, total)


def _burn(
    cells: Sequence[rating.Cell], grants: Sequence[CreditGrant], left: dict[int, Decimal], currency: str
) -> tuple[rating.Burn, ...]:
    usable = [_left(grant, left[grant.pk]) for grant in grants if left[grant.pk] > 0]
    burns = rating.burn(cells, usable, currency) if usable else ()
    for burn in burns:
        left[burn.grant_id] = exact.minus(left[burn.grant_id], burn.amount)
    return burns


def _left(grant: CreditGrant, left: Decimal) -> rating.GrantLeft:
    return rating.GrantLeft(
        id=grant.pk,
        left=left,
        priority=grant.priority,
        kind=grant.kind,
        effective_from=grant.effective_from,
        expires_at=grant.expires_at,
        models=frozenset(grant.models_covered),
    )


def _by_part(burns: Iterable[rating.Burn]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for burn in burns:
        found[burn.line_key] = exact.total((found.get(burn.line_key, exact.ZERO), burn.amount))
    return found


def _by_grant(burns: Iterable[rating.Burn]) -> dict[int, Decimal]:
    found: dict[int, Decimal] = {}
    for burn in burns:
        found[burn.grant_id] = exact.total((found.get(burn.grant_id, exact.ZERO), burn.amount))
    return found


def _by_rate(burns: Iterable[rating.Burn], parts: Sequence[cells_of.Part]) -> Covered:
    """A credit line lowers what is taxed at the rate of the lines that it covers."""
    found: Covered = {}
    for burn in burns:
        key = (burn.grant_id, parts[int(burn.line_key)].line.tax_rate)
        found[key] = exact.total((found.get(key, exact.ZERO), burn.amount))
    return found


def _named(covered: Covered, grants: Sequence[CreditGrant]) -> list[tuple[tuple[CreditGrant, Decimal], Decimal]]:
    by_id = {grant.pk: grant for grant in grants}
    return [((by_id[grant_id], rate), amount) for (grant_id, rate), amount in covered.items()]


def _line(
    charges: Charges, grant: CreditGrant, rate: Decimal, amount: Decimal, left: dict[int, Decimal]
) -> rating.Line:
    off = exact.minus(exact.ZERO, amount)
    rest = left[grant.pk]
    return rating.Line(
        type=rating.LineType.CREDIT,
        key=json.dumps(["credit", grant.pk, rating.plain(rate)], separators=(",", ":")),
        start=charges.period_start,
        end=charges.period_end,
        explanation=_explained(grant, amount, rest, charges),
        amount_exact=off,
        amount=off,
        unit="",
        tax_rate=rate,
        detail={
            "grant": grant.pk,
            "name": grant.name,
            "covered": rating.plain(amount),
            "left": rating.plain(rest),
            "expires_at": grant.expires_at.isoformat() if grant.expires_at else None,
        },
    )


def _explained(grant: CreditGrant, amount: Decimal, rest: Decimal, charges: Charges) -> str:
    of = f" of {', '.join(grant.models_covered)}" if grant.models_covered else ""
    since = f" from {_moment(grant.effective_from)}" if grant.effective_from > charges.period_start else ""
    until = f" before {_moment(grant.expires_at)}" if grant.expires_at and grant.expires_at < charges.period_end else ""
    covered, left = (format(rating.rounded(value, charges.currency), "f") for value in (amount, rest))
    return f"{grant.name}: covers {covered} {charges.currency} of usage{of}{since}{until}; {left} of it left"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _total(lines: Iterable[rating.Line], currency: str) -> Decimal:
    found = rating.taxes(((line.tax_rate, line.amount) for line in lines if line.amount is not None), currency)
    return exact.total(amount for tax in found for amount in (tax.base, tax.amount))


def _postings(plan: _Plan) -> list[Posting]:
    number, found = plan.charges.number, []
    detail: dict[str, Any] = {
        "cut_at": [moment.isoformat() for moment in plan.charges.cut_at],
        "considered": [[grant_id, rating.plain(left)] for grant_id, left in plan.considered],
    }
    covered: dict[int, Decimal] = {}
    for (grant_id, _), amount in plan.covered.items():
        covered[grant_id] = exact.total((covered.get(grant_id, exact.ZERO), amount))
    for reference, amounts in (
        (ledger.promotional_reference(number), covered),
        (ledger.payment_reference(number), plan.paid),
    ):
        if amounts:
            legs = tuple(
                Leg(grant_id, ledger.invoice_account(number), exact.minus(exact.ZERO, amount))
                for grant_id, amount in amounts.items()
            )
            found.append(
                Posting(
                    CreditTransaction.Type.APPLY,
                    plan.charges.tenant,
                    plan.charges.currency,
                    reference,
                    legs,
                    note=f"invoice {number}",
                    by=BY,
                    detail=detail,
                )
            )
    return found


def _carried(plan: _Plan) -> Carry:
    number = plan.charges.number
    return Carry(
        plan.charges.tenant,
        plan.charges.currency,
        exact.minus(exact.ZERO, plan.total),
        f"Carried over from invoice {number}",
        carried_source(number),
        BY,
    )
