"""The digest of an invoice: a Merkle root over the requests that it bills, so that anyone can check that one is among them (docs/proof.md).

An invoice bills the requests of its period that had arrived before its watermark, and what arrived late for earlier periods that it
adjusts. Each of these is a part with a tree of its own; the root is over their tops, the period's own first.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from billing.adjustments import AFTER_SEAL
from billing.contracts import Period
from billing.invoicing import Draft
from billing.models import Invoice, InvoiceLine
from billing.rating import LineType
from billing.rerating import period_of, seal_of
from metering import public as metering
from metering.contracts import SealInfo
from metering.public import UsageDigest, UsagePart

ROOT = b"\x03"  # what is hashed for a root begins with it; metering's nodes begin with others


@dataclass(frozen=True)
class Part:
    """`origin`: the number of the earlier invoice whose late requests these are, '' the invoice's own period."""

    usage: UsagePart
    origin: str = ""


def roots(tenants: Sequence[str], period: Period, seal: SealInfo) -> dict[str, tuple[str, int]]:
    """For each tenant with requests in the period the root in hex and how many requests it covers, without late ones of other periods."""
    found = metering.usage_digests(tenants, UsagePart(period.start, period.end, seal))
    return {tenant: root_over([digest]) for tenant, digest in found.items()}


def rooted(drafts: Sequence[Draft]) -> list[Draft]:
    """The same drafts with their digests. Parts that are alike are read together, some hundred tenants in a statement."""
    origins = _origins({line.origin for draft in drafts for line in draft.lines if line.origin})
    parts = [_parts_of_draft(draft, origins) for draft in drafts]
    asked: dict[UsagePart, list[str]] = {}
    for draft, mine in zip(drafts, parts, strict=True):
        for part in mine:
            asked.setdefault(part.usage, []).append(draft.tenant)
    found = {part: metering.usage_digests(sorted(set(tenants)), part) for part, tenants in asked.items()}
    made = []
    for draft, mine in zip(drafts, parts, strict=True):
        tops = [found[part.usage].get(draft.tenant) for part in mine]
        root, leaves = root_over([top for top in tops if top is not None])
        made.append(replace(draft, root=root, leaves=leaves))
    return made


def root(invoice: Invoice) -> tuple[str, int]:
    """Computed anew from raw events, as of the invoice's watermark: what its `usage_root` and `usage_leaves` must be."""
    tops = [metering.usage_digests([invoice.tenant], part.usage).get(invoice.tenant) for part in parts(invoice)]
    return root_over([top for top in tops if top is not None])


def root_over(digests: Sequence[UsageDigest]) -> tuple[str, int]:
    """('', 0) for no requests."""
    leaves = sum(digest.leaves for digest in digests)
    if not leaves:
        return "", 0
    tops = b"".join(digest.top for digest in digests)
    return hashlib.sha256(ROOT + leaves.to_bytes(8, "big") + tops).hexdigest(), leaves


def parts(invoice: Invoice) -> list[Part]:
    """What a stored invoice's digest covers, the period's own requests first, then by the order of its adjustment lines."""
    late: dict[str, Part] = {}
    rows = invoice.lines.filter(type=LineType.ADJUSTMENT, origin__isnull=False).select_related("origin")
    for row in rows.order_by("position"):
        assert row.origin is not None  # noqa: S101 - by the filter; this is for the type checker
        if row.origin.number not in late and AFTER_SEAL in row.detail:
            late[row.origin.number] = _late(row.origin, row.detail, seal_of(invoice))
    return [_own(period_of(invoice), seal_of(invoice)), *late.values()]


def billing_invoices(invoice: Invoice) -> list[Invoice]:
    """The invoice, and those that bill what arrived late for its period, in the order of their numbers."""
    rows = InvoiceLine.objects.filter(origin=invoice, invoice__finalised_at__isnull=False).values("invoice")
    return [invoice, *Invoice.objects.filter(pk__in=rows).order_by("pk")]


def _parts_of_draft(draft: Draft, origins: Mapping[str, Invoice]) -> list[Part]:
    late: dict[str, Part] = {}
    for line in draft.lines:
        if line.type is LineType.ADJUSTMENT and line.origin not in late and AFTER_SEAL in line.detail:
            late[line.origin] = _late(origins[line.origin], line.detail, draft.seal)
    return [_own(draft.period, draft.seal), *late.values()]


def _own(period: Period, seal: SealInfo) -> Part:
    return Part(UsagePart(period.start, period.end, seal))


def _late(origin: Invoice, detail: Mapping[str, int], seal: SealInfo) -> Part:
    period = period_of(origin)
    return Part(UsagePart(period.start, period.end, seal, _seal(detail[AFTER_SEAL])), origin.number)


@cache
def _seal(seal_id: int) -> SealInfo:
    """A completed seal never changes."""
    return metering.seal_info(seal_id)


def _origins(numbers: Iterable[str]) -> dict[str, Invoice]:
    return {row.number: row for row in Invoice.objects.filter(number__in=list(numbers))}
