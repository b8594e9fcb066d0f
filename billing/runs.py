"""Invoice runs: everything that is due, in the order of tenants, some hundreds in a transaction.

A run fixes what its invoices are made from: the seal, the versions of the prices, the cut-off. What a crash leaves behind: the batches
before it, whole, and the run's row; resumed, the run finds those invoices and makes the others, with the numbers that follow. Two workers
on one run, or two runs over the same periods, make one set: see `finalising`.
"""

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from billing import adjustments, digests, finalising, invoicing, periods, pricebook, rating, service_levels
from billing.agreements import Due, due_periods, periods_ending
from billing.finalising import DraftStale, Finalised
from billing.invoicing import Draft, DraftRefused, Key, key_of
from billing.models import Invoice, InvoiceRun, InvoiceState
from metering import public as metering
from metering.contracts import SealInfo, TenantInfo

logger = logging.getLogger(__name__)

State = InvoiceRun.State
SILENT = timedelta(minutes=30)  # a batch takes seconds
RESUMED_FOR = timedelta(days=7)  # by itself; what an older run left is due at any other run
TRIES = 5  # of a batch whose drafts were out of date
A_DAY = timedelta(days=1)
MOST_PROBLEMS = 10_000  # kept on the run's row


class NothingSealed(ValueError):
    """No usage was ever sealed: there is nothing to bill from."""


@dataclass(frozen=True)
class Outcome:
    """What became of one period of a tenant. `invoice` None and no problems: nothing to bill.

    Of an invoice that was there before: whether it is `void`, and how many events are `late` for it that no invoice has billed yet.
    """

    due: Due
    invoice: Invoice | None = None
    new: bool = False
    void: bool = False
    late: int = 0
    problems: tuple[str, ...] = ()


def plan_run(
    cut_off: datetime,
    tenants: Sequence[str] | None = None,
    *,
    month: str = "",
    actor: str = "command",
    wait_s: float = 60,
) -> InvoiceRun:
    """Seal everything that was accepted before now, and fix what is to be billed from it; `work` does it.

    `tenants`: keys, None all. `month`: the periods whose last day lies in it alone, whatever the customers' grace; else what is due at
    `cut_off`. Raises NothingSealed, or metering's SealHeld if a host still holds events when `wait_s` is over.
    """
    seal = metering.seal_everything_before(timezone.now(), wait_s=wait_s).seal
    if seal is None:
        raise NothingSealed("nothing was ever used: there is no seal to bill from")
    return InvoiceRun.objects.create(
        cut_off=cut_off,
        tenants=None if tenants is None else sorted(tenants),
        month=month,
        seal=seal.id,
        watermark=seal.watermark,
        price_versions=pricebook.current_versions(),
        started_by=actor[:150],
    )


def start_run(
    cut_off: datetime,
    tenants: Sequence[str] | None = None,
    *,
    month: str = "",
    actor: str = "command",
    wait_s: float = 60,
) -> InvoiceRun:
    """`plan_run`, and all of its work."""
    run = plan_run(cut_off, tenants, month=month, actor=actor, wait_s=wait_s)
    work(run, actor=actor)
    return run


def resume(run: InvoiceRun, *, actor: str = "command") -> InvoiceRun:
    """Do what is left of a run that did not end, from what it fixed when it began. A run that is done stays as it is."""
    run.refresh_from_db()
    if run.state != State.DONE:
        work(run, actor=actor)
    return run


def unfinished() -> InvoiceRun | None:
    """The oldest run that failed, or that nobody has worked on for some time: its worker is gone."""
    now = timezone.now()
    rows = InvoiceRun.objects.filter(Q(state=State.FAILED) | Q(state=State.RUNNING, heartbeat_at__lt=now - SILENT))
    return rows.filter(started_at__gte=now - RESUMED_FOR).order_by("pk").first()


def work(run: InvoiceRun, *, actor: str = "command") -> list[Outcome]:
    """All batches of a run. If one fails, the run is `failed` and its error raised; what was made stays, and it can be resumed."""
    _update(run, state=State.RUNNING, finished_at=None)
    try:
        found = _work(run, actor)
    except Exception as error:
        _update(run, state=State.FAILED, problems=[*run.problems, {"tenant": "", "problem": f"stopped: {error}"}])
        raise
    _update(run, state=State.DONE, finished_at=timezone.now())
    return found


def _work(run: InvoiceRun, actor: str) -> list[Outcome]:
    due = _due(run)
    before = (
        0 if run.month else Invoice.objects.filter(run=run).count()
    )  # of a month they are among those due, and found
    _update(run, due=before + len(due), done=before, problems=[])
    seal, late = _seal(run), adjustments.Late(_seal(run))
    found: list[Outcome] = []
    for batch in _batches(due):
        found += _billed(batch, run, seal, late, actor)
        problems = [_problem(one, text) for one in found for text in one.problems]
        made = Invoice.objects.filter(run=run).count()
        _update(run, done=before + len(found), invoices=made, problems=problems[:MOST_PROBLEMS])
    return found


def _billed(batch: Sequence[Due], run: InvoiceRun, seal: SealInfo, late: adjustments.Late, actor: str) -> list[Outcome]:
    """One batch. Those whose drafts went out of date meanwhile are drafted anew."""
    before = finalising.existing(map(key_of, batch))
    waiting = adjustments.waiting(before.values(), late)
    for _ in range(TRIES):
        drafts = prepared([one for one in batch if key_of(one) not in before], seal, run.price_versions, late)
        ready = [draft for draft in drafts.values() if isinstance(draft, Draft) and not draft.unpriced]
        try:
            made = finalising.finalise(digests.rooted(ready), run=run, actor=actor)
        except DraftStale as stale:
            logger.info("%s", stale)
            batch = _agreed_anew(batch, stale.tenants)
            continue
        done = dict(zip((draft.key for draft in ready), made, strict=True))
        return [
            _known(one, before[key_of(one)], waiting) if key_of(one) in before else _outcome(one, drafts, done)
            for one in batch
        ]
    raise RuntimeError(
        f"the drafts of a batch were out of date {TRIES} times: somebody changes its contracts all the time"
    )


def prepared(
    due: Sequence[Due], seal: SealInfo, versions: Mapping[str, int], late: adjustments.Late
) -> dict[Key, Draft | DraftRefused]:
    """Drafts with everything but credit: usage and fees, service credits, and what is late for earlier invoices."""
    found = invoicing.drafts(due, seal, versions)
    found = service_levels.added(found)
    return adjustments.added(due, found, late, versions)


def _known(one: Due, invoice: Invoice, waiting: Mapping[int, int]) -> Outcome:
    void = invoice.state.status == InvoiceState.Status.VOID
    return Outcome(one, invoice, void=void, late=waiting.get(invoice.pk, 0))


def _outcome(one: Due, drafts: Mapping[Key, Draft | DraftRefused], made: Mapping[Key, Finalised]) -> Outcome:
    key = key_of(one)
    draft = drafts.get(key)
    if key in made:
        return Outcome(one, made[key].invoice, made[key].new)
    if draft is None:
        return Outcome(one)
    if isinstance(draft, DraftRefused):
        return Outcome(one, problems=(f"{one.tenant.key}: {draft}",))
    return Outcome(one, problems=tuple(unpriced(one.tenant.key, draft, line) for line in draft.unpriced))


def _due(run: InvoiceRun) -> list[Due]:
    tenants = metering.tenants()
    if run.tenants is not None:
        named = set(run.tenants)
        tenants = [tenant for tenant in tenants if tenant.key in named]
    tenants = sorted(tenants, key=lambda tenant: tenant.key)
    return in_month(tenants, run.month) if run.month else due_periods(tenants, run.cut_off)


def in_month(tenants: Sequence[TenantInfo], month: str) -> list[Due]:
    """Every period whose last local day lies in the month, invoiced or not."""
    span = periods.month(month)
    around = periods_ending(tenants, span.start, span.end + 2 * A_DAY)  # no zone is two days from UTC
    return [one for one in around if span.start.date() <= last_day(one) < span.end.date()]


def last_day(one: Due) -> date:
    return periods.local_day(one.period.end, one.agreed.zone) - A_DAY


def _agreed_anew(batch: Sequence[Due], tenants: Iterable[str]) -> list[Due]:
    """The same periods under what is agreed by now. A period that is cut otherwise now is due at another run."""
    stale = set(tenants)
    whose = [one.tenant for one in batch if one.tenant.key in stale]
    start = min(one.period.start for one in batch)
    end = max(one.period.end for one in batch)
    now = {key_of(one): one for one in periods_ending(list(dict.fromkeys(whose)), start, end)}
    kept = (now.get(key_of(one)) if one.tenant.key in stale else one for one in batch)
    return [one for one in kept if one is not None]


def _batches(due: Sequence[Due]) -> Iterable[Sequence[Due]]:
    return (due[first : first + finalising.BATCH] for first in range(0, len(due), finalising.BATCH))


def _seal(run: InvoiceRun) -> SealInfo:
    return SealInfo(run.seal, run.watermark, run.started_at)


def _update(run: InvoiceRun, **values: object) -> None:
    for name, value in values.items():
        setattr(run, name, value)
    run.save(update_fields=[*values, "heartbeat_at"])


def _problem(one: Outcome, text: str) -> dict[str, str]:
    return {"tenant": one.due.tenant.key, "period": str(one.due.period), "problem": text}


def unpriced(tenant: str, draft: Draft, line: rating.Line) -> str:
    """The line that blocks, and the command that would give it a price."""
    sheet = invoicing.Sheets([draft.agreed], draft.price_versions).of(draft.agreed)
    command = f"manage.py set_price --model {shlex.quote(line.model)} --kind {line.kind} --per-million X --currency {draft.currency}"
    if _begins_later(sheet, line):
        command += f" --effective-from {_date(line.start)}"
    tier = f" of tier {line.tier!r}" if line.tier else ""
    return (
        f"{tenant}: no price in {draft.currency} for {line.kind} of model {line.model!r}{tier} from {_date(line.start)}: "
        f"{line.quantity:,f} {line.unit} cannot be billed. Set one: {command}"
    )


def _begins_later(sheet: rating.PriceSheet, line: rating.Line) -> bool:
    return any(
        rule.model == line.model and rule.kind == line.kind and rule.effective_from > line.start for rule in sheet
    )


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%Y-%m-%dT%H:%MZ}"
