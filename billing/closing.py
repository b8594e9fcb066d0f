"""Closing a month by hand: bill it whatever the customers' grace, and say for each tenant what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from billing import runs
from billing.contracts import Period
from billing.runs import NothingSealed, Outcome
from metering.contracts import TenantInfo


class PeriodOpen(ValueError):
    """The period has not ended yet."""


@dataclass(frozen=True)
class Closed:
    """What became of one tenant. `number` is None if there is no invoice; `problems` are why, `notes` what else to know."""

    tenant: str
    number: str | None
    new: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def close_period(
    period: Period, tenants: Sequence[TenantInfo], *, wait_s: float = 60, actor: str = "command"
) -> list[Closed]:
    """Bill everything that was accepted before this call, each tenant once for its period whose last day lies in the month `period`.

    Raises PeriodOpen, or metering's SealHeld if a host still holds events when `wait_s` is over: a bill without them would be wrong.
    """
    now = timezone.now()
    if period.end > now:
        raise PeriodOpen(f"{period} has not ended yet: it can be closed from {period.end:%Y-%m-%d}, 00:00 UTC")
    try:
        keys = [tenant.key for tenant in tenants]
        run = runs.plan_run(now, keys, month=f"{period.start:%Y-%m}", actor=actor, wait_s=wait_s)
    except NothingSealed:
        return [_unused(tenant.key, period) for tenant in tenants]
    found: dict[str, list[Closed]] = {tenant.key: [] for tenant in tenants}
    for outcome in runs.work(run, actor=actor):
        found[outcome.due.tenant.key].append(_closed(outcome))
    return [closed for tenant in tenants for closed in found[tenant.key] or [_unused(tenant.key, period)]]


def _closed(outcome: Outcome) -> Closed:
    tenant, invoice = outcome.due.tenant.key, outcome.invoice
    if outcome.problems:
        return Closed(tenant, None, problems=outcome.problems)
    if invoice is None:
        return _unused(tenant, outcome.due.period)
    return Closed(tenant, invoice.number, outcome.new, notes=() if outcome.new else _known(outcome))


def _known(outcome: Outcome) -> tuple[str, ...]:
    """An invoice that was there. What is late for it is billed by an adjustment, never by changing it."""
    invoice = outcome.invoice
    assert invoice is not None  # noqa: S101 - the caller has looked; this is for the type checker
    note = f"{invoice.tenant}: {invoice.number} was finalised on {invoice.finalised_at:%Y-%m-%d %H:%M}Z"
    if outcome.void:
        return (f"{note}, and is void: manage.py void_invoice {invoice.number} --reissue bills its period anew",)
    if outcome.late:
        return (f"{note}; late since then, and not on it: {outcome.late:,} events, which the next invoice adjusts",)
    return (note,)


def _unused(tenant: str, period: Period) -> Closed:
    return Closed(tenant, None, notes=(f"{tenant}: no usage in {period}",))
