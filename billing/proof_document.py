"""A proof as the document that is given out, by the API and by pages; docs/proof.md describes it, docs/check_proof.py checks it."""

from datetime import datetime
from typing import Any

from billing import proofs
from billing.proofs import DigestDiffers, NotBilled, Proof
from billing.stored import UnknownInvoice
from metering.public import SeveralRequests, instant


class ProofRefused(LookupError):
    """There is no proof, with the reason."""


def proof_document(
    number: str, request_id: str, source: str = "", *, tenant: str | None = None, at: datetime | None = None
) -> dict[str, Any]:
    """As `proofs.proof`; raises ProofRefused alone."""
    try:
        return document(proofs.proof(number, request_id, source, tenant=tenant, at=at))
    except (UnknownInvoice, NotBilled, DigestDiffers, SeveralRequests) as error:
        raise ProofRefused(str(error)) from error


def document(found: Proof) -> dict[str, Any]:
    """Hashes in hex, moments as RFC 3339 in UTC."""
    usage, shown = found.part.usage, found.request
    return {
        "format": proofs.FORMAT,
        "invoice": found.invoice.number,
        "digest": found.invoice.usage_root,
        "requests": found.invoice.usage_leaves,
        "request": shown.text,
        "siblings": [leaf.hex() for leaf in shown.siblings],
        "path": [{"side": "left" if left else "right", "hash": beside.hex()} for left, beside in shown.path],
        "tops": [top.hex() for top in found.tops],
        "period_start": instant(usage.start),
        "period_end": instant(usage.end),
        "arrived_from": instant(usage.after.watermark) if usage.after else None,
        "arrived_before": instant(usage.as_of.watermark),
        "corrects": found.part.origin or None,
    }
