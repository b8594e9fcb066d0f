"""The proof that one request is billed by an invoice. It leads to the root that the invoice carries; docs/proof.md has the format."""

from dataclasses import dataclass
from datetime import datetime

from billing import digests
from billing.digests import Part
from billing.models import Invoice
from billing.stored import final_invoice
from metering import public as metering
from metering.public import RequestProof, UsageDigest

FORMAT = "tallywatt-proof-1"


@dataclass(frozen=True)
class Proof:
    """`tops`: of every part of the invoice's digest that has requests, in order; `request` leads to that of `part`."""

    invoice: Invoice
    part: Part
    request: RequestProof
    tops: tuple[bytes, ...]


class NotBilled(LookupError):
    """The request is not among those that the invoice bills; the message says where it is, if another invoice corrects this one with it."""


class DigestDiffers(RuntimeError):
    """The events no longer give the digest that the invoice carries: an audit shows what changed."""


def proof(
    number: str, request_id: str, source: str = "", *, tenant: str | None = None, at: datetime | None = None
) -> Proof:
    """`tenant` None: anybody's invoice. `at`: the request's time, where an id was used for several.

    Raises stored.UnknownInvoice, NotBilled, DigestDiffers, and metering's SeveralRequests.
    """
    invoice = final_invoice(number, tenant)
    parts = digests.parts(invoice)
    found = _found(invoice, parts, request_id, source, at)
    if found is None:
        raise NotBilled(_elsewhere(invoice, request_id, source))
    part, request = found
    tops = [request.digest if each == part else _digest(invoice, each) for each in parts]
    covered = [top for top in tops if top is not None]
    if digests.root_over(covered) != (invoice.usage_root, invoice.usage_leaves):
        raise DigestDiffers(f"the events no longer give the digest of {number}: audit_invoice shows what changed")
    return Proof(invoice, part, request, tuple(top.top for top in covered))


def _found(
    invoice: Invoice, parts: list[Part], request_id: str, source: str, at: datetime | None
) -> tuple[Part, RequestProof] | None:
    for part in parts:
        request = metering.request_proof(invoice.tenant, part.usage, request_id, source, at)
        if request is not None:
            return part, request
    return None


def _digest(invoice: Invoice, part: Part) -> UsageDigest | None:
    return metering.usage_digests([invoice.tenant], part.usage).get(invoice.tenant)


def _elsewhere(invoice: Invoice, request_id: str, source: str) -> str:
    said = f"request {request_id[:128]!r} of source {source[:128]!r} is not billed by invoice {invoice.number}"
    for later in digests.billing_invoices(invoice)[1:]:
        for part in digests.parts(later):
            if part.origin == invoice.number and metering.request_times(invoice.tenant, part.usage, request_id, source):
                return f"{said}: it arrived late, and invoice {later.number} bills it"
    return said
