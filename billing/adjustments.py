"""Late usage: what arrived for a period after it was invoiced becomes adjustment lines of the tenant's next invoice.

An adjustment is rate-and-round as of now less what was billed for the period so far, line by line, with the prices and the contract's
revision of the invoice that it corrects. A delta is never rated alone. Each invoice looks at everything that came after the newest seal of
the tenant's invoices before it, so nothing is adjusted twice and nothing is left out.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

from django.db.models import Count, Max, Q, QuerySet

from billing import rating, rerating, usage
from billing.agreements import Due
from billing.contracts import UsageTotals
from billing.invoice_rows import line_of
from billing.invoicing import Draft, DraftRefused, Key, key_of, taxed
from billing.models import Invoice, InvoiceLine, InvoiceState, Price
from metering import public as metering
from metering.contracts import SealInfo
from metering.public import LateUsage

# Of the lines of an invoice these are rated anew. Credits that were given for other reasons stay as they are.
RATED = frozenset(
    {
        rating.LineType.USAGE,
        rating.LineType.FLAT_FEE,
        rating.LineType.PERCENTAGE_FEE,
        rating.LineType.DISCOUNT,
        rating.LineType.COMMITMENT,
    }
)
# In the detail of an adjustment line: what arrived after this seal is on it. What the invoice's digest covers follows from it.
AFTER_SEAL = "after_seal"


@dataclass(frozen=True)
class Adjusted:
    """The adjustment lines of one tenant's next invoice. `corrected`: of each invoice that was looked at, how many corrections it had."""

    lines: tuple[rating.Line, ...]
    corrected: Mapping[str, int]


class Late:
    """What is late as of one seal, read once for each older seal that invoices were made from."""

    def __init__(self, seal: SealInfo) -> None:
        self.seal = seal
        self._held: dict[int, dict[str, list[LateUsage]]] = {}

    def since(self, seal: int, tenant: str) -> list[LateUsage]:
        if seal not in self._held:
            by_tenant: dict[str, list[LateUsage]] = {}
            if seal < self.seal.id:
                for row in metering.late_usage(seal, self.seal.id, self.seal.watermark, slugs=_slugs()):
                    by_tenant.setdefault(row.tenant, []).append(row)
            self._held[seal] = by_tenant
        return self._held[seal].get(tenant, [])


def added(
    due: Sequence[Due], drafts: Mapping[Key, Draft | DraftRefused], late: Late, versions: Mapping[str, int]
) -> dict[Key, Draft | DraftRefused]:
    """The drafts with what is late for the tenants' earlier invoices: on the first period of each that is billed now.

    A tenant without usage in its period gets a draft for it if anything is late. `due` is in order of tenant, then time.
    """
    first: dict[str, Due] = {}
    for one in due:
        if not isinstance(drafts.get(key_of(one)), DraftRefused):
            first.setdefault(one.tenant.key, one)
    found = dict(drafts)
    for tenant, adjusted in of_tenants(first, late).items():
        one = first[tenant]
        draft = found.get(key_of(one)) or Draft(one, late.seal, versions, (), UsageTotals())
        if isinstance(draft, Draft):
            lines = (*draft.lines, *taxed(adjusted.lines, one.agreed))
            found[key_of(one)] = replace(draft, lines=lines, corrected=adjusted.corrected)
    return {key: found[key] for one in due if (key := key_of(one)) in found}


def of_tenants(tenants: Collection[str], late: Late, *, before: Invoice | None = None) -> dict[str, Adjusted]:
    """Of those tenants for whom anything differs from what was billed. `before`: as it was when that invoice was made."""
    seals = _newest_seals(tenants, before)
    candidates = _candidates(seals, late, before)
    counts = corrections(row.number for row in candidates)
    bases = rerating.bases(candidates)
    metered = _metered(bases.values(), late.seal)
    found: dict[str, Adjusted] = {}
    for basis in bases.values():
        invoice = basis.invoice
        lines = against(basis, metered.get(invoice.pk, usage.NOTHING), billed(invoice, before=before))
        if lines:
            since = {AFTER_SEAL: seals[invoice.tenant]}
            held = found.get(invoice.tenant, Adjusted((), {}))
            marked = (replace(line, detail={**line.detail, **since}) for line in lines)
            corrected = {**held.corrected, invoice.number: counts.get(invoice.number, 0)}
            found[invoice.tenant] = Adjusted((*held.lines, *marked), corrected)
    return found


def _metered(bases: Iterable[rerating.Basis], seal: SealInfo) -> dict[int, usage.Metered]:
    """What is metered now for each invoice, by its primary key. Invoices of one period and the same prices are read together."""
    groups: defaultdict[Hashable, list[rerating.Basis]] = defaultdict(list)
    for basis in bases:
        groups[id(basis.sheet), tuple(basis.cuts())].append(basis)
    found: dict[int, usage.Metered] = {}
    for group in groups.values():
        whose = {basis.invoice.tenant: basis.invoice.pk for basis in group}
        used = usage.sealed(sorted(whose), group[0].cuts(), group[0].sheet, seal)
        found |= {whose[tenant]: metered for tenant, metered in used.items()}
    return found


def waiting(invoices: Iterable[Invoice], late: Late) -> dict[int, int]:
    """By the invoice's primary key: events that came for its period since the tenant's newest invoice. None for those without."""
    every = list(invoices)
    seals = _newest_seals({row.tenant for row in every})
    found = {}
    for row in every:
        spans = late.since(seals[row.tenant], row.tenant) if row.tenant in seals else []
        events = sum(one.events for one in spans if one.first < row.period_end and one.last_end > row.period_start)
        if events:
            found[row.pk] = events
    return found


def against(basis: rerating.Basis, metered: usage.Metered, held: Iterable[rating.Line]) -> tuple[rating.Line, ...]:
    """The adjustment lines that bring what was billed to what is metered now. A line that differs in nothing is left out."""
    return rating.adjustments(held, basis.lines(metered), basis.invoice.number, basis.invoice.currency)


def billed(invoice: Invoice, *, before: Invoice | None = None) -> list[rating.Line]:
    """What was billed for an invoice's period: its lines, and the adjustments of it on invoices that are not void.

    `before`: only on invoices that were made before that one.
    """
    own = [line_of(row) for row in invoice.lines.filter(type__in=RATED, origin=None)]
    rows = _corrections().filter(origin=invoice)
    if before is not None:
        rows = rows.filter(invoice_id__lt=before.pk)
    return own + [line_of(row) for row in rows.select_related("origin").order_by("invoice_id", "position")]


def corrections(numbers: Iterable[str]) -> dict[str, int]:
    """How many adjustment lines each of these invoices has on others that are not void."""
    rows = _corrections().filter(origin__number__in=list(numbers)).values("origin__number")
    return {row["origin__number"]: row["count"] for row in rows.annotate(count=Count("pk"))}


def _corrections() -> QuerySet[InvoiceLine]:
    rows = InvoiceLine.objects.filter(type=rating.LineType.ADJUSTMENT, invoice__finalised_at__isnull=False)
    return rows.exclude(invoice__state__status=InvoiceState.Status.VOID)


def _candidates(seals: Mapping[str, int], late: Late, before: Invoice | None) -> list[Invoice]:
    """Final invoices, not void, of periods that something came late for, in the order of their numbers."""
    wanted = [
        Q(tenant=tenant, period_start__lt=span.last_end, period_end__gt=span.first)
        for tenant, seal in seals.items()
        for span in late.since(seal, tenant)
    ]
    return list(_standing(before).filter(reduce(or_, wanted)).order_by("pk")) if wanted else []


def _newest_seals(tenants: Collection[str], before: Invoice | None = None) -> dict[str, int]:
    rows = _standing(before).filter(tenant__in=list(tenants)).values("tenant").annotate(seal=Max("seal"))
    return {row["tenant"]: row["seal"] for row in rows}


def _standing(before: Invoice | None = None) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(kind=Invoice.Kind.USAGE, finalised_at__isnull=False)
    if before is not None:
        rows = rows.filter(pk__lt=before.pk)
    return rows.exclude(state__status=InvoiceState.Status.VOID)


def _slugs() -> tuple[str, ...]:
    """Every meter that ever had a price."""
    kinds = Price.objects.filter(kind__startswith="meter:").values_list("kind", flat=True).distinct()
    return tuple(kind.removeprefix("meter:") for kind in kinds)
