"""Closing a period: seal everything that was accepted, bill it, and say for each tenant what became of it."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.utils import timezone

from billing import invoicing, pricebook, rating
from billing.contracts import Period
from billing.invoicing import Draft, DraftRefused
from billing.models import Invoice
from metering import public as metering
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


def close_period(period: Period, tenants: Sequence[TenantInfo], *, wait_s: float = 60) -> list[Closed]:
    """Bill everything that was accepted before this call, each tenant once for the period.

    Raises PeriodOpen, or metering's SealHeld if a host still holds events when `wait_s` is over: a bill without them would be wrong.
    """
    now = timezone.now()
    if period.end > now:
        raise PeriodOpen(f"{period} has not ended yet: it can be closed from {period.end:%Y-%m-%d}, 00:00 UTC")
    seal = metering.seal_everything_before(now, wait_s=wait_s).seal
    if seal is None:
        return [_unused(tenant.key, period) for tenant in tenants]
    drafts = invoicing.drafts(period, tenants, seal)
    before = invoicing.existing(period, [tenant.key for tenant in tenants])
    closed_before = {tenant.key: before.get((tenant.key, tenant.currency)) for tenant in tenants}
    ready = [
        draft
        for draft in drafts.values()
        if isinstance(draft, Draft) and not draft.unpriced and closed_before[draft.tenant] is None
    ]
    finalised = {made.invoice.tenant: made for made in invoicing.finalise(ready)}
    found = []
    for tenant in tenants:
        draft, invoice = drafts.get(tenant.key), closed_before[tenant.key]
        if invoice is not None:
            found.append(Closed(tenant.key, invoice.number, notes=_late(invoice, draft)))
        elif tenant.key in finalised:
            made = finalised[tenant.key]
            found.append(Closed(tenant.key, made.invoice.number, made.new))
        elif draft is None:
            found.append(_unused(tenant.key, period))
        else:
            found.append(Closed(tenant.key, None, problems=_problems(tenant.key, draft)))
    return found


def _unused(tenant: str, period: Period) -> Closed:
    return Closed(tenant, None, notes=(f"{tenant}: no usage in {period}",))


def _late(invoice: Invoice, draft: Draft | DraftRefused | None) -> tuple[str, ...]:
    """What has arrived since the invoice was made. It is billed as an adjustment, never by changing the invoice."""
    note = f"{invoice.tenant}: {invoice.number} was finalised on {invoice.finalised_at:%Y-%m-%d %H:%M}Z"
    if not isinstance(draft, Draft):
        return (note,)
    late = {name: value - getattr(invoice, name) for name, value in asdict(draft.usage).items()}
    arrived = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in late.items() if value)
    return (f"{note}; late since then, and not on it: {arrived}",) if arrived else (note,)


def _problems(tenant: str, draft: Draft | DraftRefused) -> tuple[str, ...]:
    if isinstance(draft, DraftRefused):
        return (f"{tenant}: {draft}",)
    sheet = pricebook.sheet(draft.currency, draft.price_version)
    return tuple(_unpriced(tenant, draft.currency, line, sheet) for line in draft.unpriced)


def _unpriced(tenant: str, currency: str, line: rating.Line, sheet: rating.PriceSheet) -> str:
    """The line that blocks, and the command that would give it a price."""
    command = f"manage.py set_price --model {shlex.quote(line.model)} --kind {line.kind} --per-million X --currency {currency}"
    if sheet.rows(line.model, line.kind, rating.ANY_TIER):  # there is a price, but it begins later
        command += f" --effective-from {_date(line.start)}"
    tier = f" of tier {line.tier!r}" if line.tier else ""
    return (
        f"{tenant}: no price in {currency} for {line.kind} of model {line.model!r}{tier} from {_date(line.start)}: "
        f"{line.quantity:,} tokens cannot be billed. Set one: {command}"
    )


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%Y-%m-%dT%H:%MZ}"
