"""Contracts: made, changed, paused, resumed and ended, each by a revision that states everything anew.

A change holds from a local day on: any day that no invoice covers yet, or one to come. What is invoiced stays as it was agreed then.
Every change waits for the lock under which invoices get their numbers, so that none is finalised on terms that just went out of force.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing import audit_log, models, numbers
from billing.contract_terms import ACTIVE, ENDED, PAUSED, ContractInfo, Revision, contract, contracts_of
from billing.invoiced import open_from
from billing.models import Contract, ContractRevision
from billing.periods import ZoneRefused, midnight, zone_named
from billing.rating.terms import Terms
from billing.terms_check import terms_problems
from metering import public as metering

SERIES = "CT"  # of contracts' numbers
_NUMBER = re.compile(r"[A-Za-z0-9-]{1,32}\Z")


class ContractRefused(ValueError):
    """A contract or a change of one that cannot be, with the reason."""


@dataclass(frozen=True)
class _By:
    """Who changes something, from where, and why."""

    actor: str
    note: str
    address: str | None


@transaction.atomic
def create_contract(
    *,
    tenant: str,
    starts_on: date,
    actor: str,
    terms: Terms | None = None,
    time_zone: str = "UTC",
    anchor_day: int | None = None,
    currency: str | None = None,
    number: str | None = None,
    note: str = "",
    address: str | None = None,
) -> ContractInfo:
    """A contract from the local midnight of `starts_on` on, with its first revision.

    `anchor_day` is that of `starts_on` unless it is given, `currency` the tenant's and no other. Raises ContractRefused: for
    another contract that has not ended by then, for an invoice that covers a day of it, for terms that contradict themselves.
    """
    _hold_invoices()
    info = metering.tenant(tenant)
    if info is None:
        raise ContractRefused(f"there is no tenant {tenant!r}")
    if currency not in {None, info.currency}:
        raise ContractRefused(
            f"{tenant} is metered and billed in {info.currency}: a contract in {currency} would need a conversion"
        )
    anchor = starts_on.day if anchor_day is None else anchor_day
    if not 1 <= anchor <= 31:
        raise ContractRefused(f"an anchor is a day of the month, 1 to 31, not {anchor}")
    start = _start(starts_on, time_zone)
    _refuse_second(tenant, start)
    _refuse_invoiced(tenant, start)
    agreed = terms or Terms()
    _refuse_terms(agreed, info.currency)
    row = Contract.objects.create(
        number=_free_number(number),
        tenant=tenant,
        currency=info.currency,
        time_zone=time_zone,
        anchor_day=anchor,
        starts_on=starts_on,
    )
    by = _By(actor, note, address)
    _add_revision(row, 1, starts_on, ACTIVE if agreed.active else PAUSED, agreed, by=by)
    made = _known(row.number)
    audit_log.record(actor, "add", row, None, _fixed(made) | _shown(made.revisions[-1]), address=address)
    return made


@transaction.atomic
def change_contract(
    number: str, *, effective_on: date, terms: Terms, actor: str, note: str = "", address: str | None = None
) -> ContractInfo:
    """Other terms from the local midnight of `effective_on` on. They last until the next revision that waits, if there is one; of two
    for the same day the later holds. `terms.active` False pauses. A contract that has ended is resumed first. Raises ContractRefused."""
    state = ACTIVE if terms.active else PAUSED
    by = _By(actor, note, address)
    return _revise(number, effective_on, "change", lambda _: (state, terms), by=by, refuse=(ENDED,))


@transaction.atomic
def pause(number: str, *, on: date, actor: str, note: str = "", address: str | None = None) -> ContractInfo:
    """From that local midnight on usage is billed, fees, allowances and commitment are not. Raises ContractRefused."""
    return _revise(
        number, on, "pause", lambda held: (PAUSED, held.terms), by=_By(actor, note, address), refuse=(PAUSED, ENDED)
    )


@transaction.atomic
def resume(number: str, *, on: date, actor: str, note: str = "", address: str | None = None) -> ContractInfo:
    """From that local midnight on everything is charged again that was agreed, also by a contract that ends on that day, which then goes
    on. Raises ContractRefused."""
    return _revise(
        number, on, "resume", lambda held: (ACTIVE, held.terms), by=_By(actor, note, address), refuse=(ACTIVE,)
    )


@transaction.atomic
def end(number: str, *, on: date, actor: str, note: str = "", address: str | None = None) -> ContractInfo:
    """`on` is the first local day that is not in the contract; its period ends there. What waits for a later day never holds. Ended on
    the day on which it starts, it never was. Raises ContractRefused."""
    return _revise(number, on, "end", lambda held: (ENDED, held.terms), by=_By(actor, note, address), refuse=(ENDED,))


Made = Callable[[Revision], tuple[str, Terms]]


def _revise(number: str, day: date, action: str, make: Made, *, by: _By, refuse: tuple[str, ...] = ()) -> ContractInfo:
    """Add a revision made from the one that holds on `day`. `refuse`: states in which there is nothing to do."""
    _hold_invoices()
    before = _known(number)
    held = before.holding_on(day)
    if held is None:
        raise ContractRefused(f"{number} begins on {before.starts_on}: it has no terms on {day}")
    if before.ends_on is not None and day > before.ends_on:
        raise ContractRefused(f"{number} ends on {before.ends_on}: nothing can change after that")
    state, terms = make(held)
    if held.state in refuse:
        raise ContractRefused(f"{number} is {held.state} on {day} already")
    if (held.state, held.terms) == (state, replace(terms, active=state == ACTIVE)):
        raise ContractRefused(f"{number} is {held.state} on {day} already, on these terms")
    start = midnight(day, before.zone)
    _refuse_invoiced(before.tenant, start)
    if held.state == ENDED:
        _refuse_second(before.tenant, start, but=number)
    _refuse_terms(terms, before.currency)
    row = Contract.objects.get(number=number)
    _add_revision(row, before.latest + 1, day, state, terms, by=by)
    after = _known(number)
    audit_log.record(by.actor, action, row, _shown(held), _shown(after.revisions[-1]), address=by.address)
    return after


def _hold_invoices() -> None:
    """From here to the end of the transaction no invoice is finalised, and no other contract changes."""
    numbers.locked(numbers.INVOICES, timezone.now().year)


def _known(number: str) -> ContractInfo:
    found = contract(number)
    if found is None:
        raise ContractRefused(f"there is no contract {number!r}")
    return found


def _start(day: date, zone: str) -> datetime:
    try:
        return midnight(day, zone_named(zone))
    except ZoneRefused as error:
        raise ContractRefused(str(error)) from None


def _refuse_second(tenant: str, start: datetime, but: str = "") -> None:
    for other in contracts_of([tenant]).get(tenant, ()):
        until = other.schedule.end
        if other.number != but and not other.cancelled and (until is None or until > start):
            span = f"from {other.starts_on} " + (f"until {other.ends_on}" if other.ends_on else "without an end")
            raise ContractRefused(f"{tenant} has contract {other.number} {span}: never two at a time")


def _refuse_invoiced(tenant: str, start: datetime) -> None:
    found = open_from(tenant)
    if found is not None and start < found[0]:
        until, number = found
        raise ContractRefused(
            f"{tenant} is invoiced up to {until:%Y-%m-%d %H:%M}Z by {number}: a change can hold from then on, "
            "or after that invoice is void"
        )


def _refuse_terms(terms: Terms, currency: str) -> None:
    if problems := terms_problems(terms, currency):
        raise ContractRefused("; ".join(problems))


def _free_number(asked: str | None) -> str:
    if asked is not None and not _NUMBER.match(asked):
        raise ContractRefused(f"a number has 1 to 32 letters, digits or -, not {asked!r}")
    if asked is None:
        return numbers.take_numbers(1, year=timezone.now().year, series=SERIES)[0]
    if Contract.objects.filter(number=asked).exists():
        raise ContractRefused(f"there is a contract {asked!r} already")
    return asked


def _add_revision(row: Contract, number: int, day: date, state: str, terms: Terms, *, by: _By) -> None:
    revision = ContractRevision.objects.create(
        contract=row,
        number=number,
        effective_on=day,
        state=state,
        plan=terms.plan,
        price_book=terms.price_book,
        commitment=terms.commitment,
        note=by.note,
        created_by=by.actor,
    )
    models.FlatFee.objects.bulk_create(models.FlatFee(revision=revision, **vars(fee)) for fee in terms.flat_fees)
    models.PercentageFee.objects.bulk_create(
        models.PercentageFee(revision=revision, **vars(fee)) for fee in terms.percentage_fees
    )
    models.Allowance.objects.bulk_create(models.Allowance(revision=revision, **vars(each)) for each in terms.allowances)
    models.Discount.objects.bulk_create(
        models.Discount(revision=revision, position=position, **vars(each))
        for position, each in enumerate(terms.discounts, start=1)
    )
    models.Objective.objects.bulk_create(models.Objective(revision=revision, **vars(each)) for each in terms.objectives)


def _fixed(info: ContractInfo) -> dict[str, Any]:
    """What no revision changes."""
    names = ("number", "tenant", "currency", "zone", "anchor_day", "starts_on")
    return {name: getattr(info, name) for name in names}


def _shown(revision: Revision) -> dict[str, Any]:
    """A revision as the audit log keeps it."""
    named = {"revision": revision.number, "effective_on": revision.effective_on, "state": revision.state}
    terms = {name: value for name, value in vars(revision.terms).items() if name != "active"}
    return named | terms | {"note": revision.note}
