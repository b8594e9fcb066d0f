"""From a document to the texts on the page: what stands where, in words. The template lays it out and decides nothing."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any

from billing.documents import texts
from billing.documents.document import Document, DocumentLine, DocumentTax, Kind, Party
from billing.documents.fonts import families
from billing.documents.lines import details, title
from billing.documents.payment_code import outstanding
from billing.documents.reference import country_name
from billing.models import CreditNote, InvoiceState
from billing.rating.kinds import Kind as TokenKind
from billing.rating.lines import LineType
from billing.rating.rounding import minor_digits
from billing.rating.tax_rates import standard_rate

LETTER_COUNTRIES = {"US", "CA", "MX"}
TITLES = {Kind.INVOICE: "Invoice", Kind.TOP_UP: "Invoice", Kind.CREDIT_NOTE: "Credit note"}
MARKS = {
    InvoiceState.Status.VOID: "VOID",
    InvoiceState.Status.PAID: "PAID",
    InvoiceState.Status.UNCOLLECTIBLE: "WRITTEN OFF",
}
SECTIONS = (
    ("Usage", (LineType.USAGE,)),
    ("Fees", (LineType.FLAT_FEE, LineType.PERCENTAGE_FEE)),
    ("Discounts", (LineType.DISCOUNT,)),
    ("Commitment", (LineType.COMMITMENT,)),
    ("Service credits", (LineType.SERVICE_CREDIT,)),
    ("Adjustments of earlier periods", (LineType.ADJUSTMENT,)),
    ("Promotional credit", (LineType.CREDIT,)),
    ("Credit bought in advance", (LineType.TOP_UP,)),
)
KINDS = {kind.value: place for place, kind in enumerate(TokenKind)}
COUNTED = {LineType.USAGE, LineType.ADJUSTMENT}  # lines with a quantity
DISPOSITIONS = {
    CreditNote.Disposition.REDUCE: "It reduces what is due on the invoice.",
    CreditNote.Disposition.REFUND: "The amount is paid back to you.",
    CreditNote.Disposition.CREDIT: "The amount is added to your credit.",
}


def of(document: Document) -> dict[str, Any]:
    """What the template asks for; see templates/document.typ. Every text is free of what no font can draw."""
    shown = {
        "paper": "us-letter" if document.buyer.country in LETTER_COUNTRIES else "a4",
        "fonts": families(document.buyer.country),
        "title": TITLES[document.kind],
        "number": document.number,
        "mark": MARKS.get(InvoiceState.Status(document.status), "") if document.status else "",
        "void": document.status == InvoiceState.Status.VOID,
        "demo": document.is_demo,
        "seller": _party(document.seller),
        "buyer": _party(document.buyer),
        "facts": _facts(document),
        "intro": _intro(document),
        "currency": document.currency,
        "with_tax": len(document.taxes) > 1,
        "with_quantity": any(line.type in COUNTED for line in document.lines) and document.kind is not Kind.CREDIT_NOTE,
        "sections": _credited(document) if document.kind is Kind.CREDIT_NOTE else _sections(document),
        "totals": _totals(document),
        "tax_note": document.tax_note,
        "rounding": _rounding(document),
        "payment": _payment(document),
        "evidence": _evidence(document),
        "footer": _footer(document),
        "stamp": {"year": document.made_at.year, "month": document.made_at.month, "day": document.made_at.day},
    }
    printable: dict[str, Any] = _printable(shown)
    return printable


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return texts.printable(value)
    if isinstance(value, dict):
        return {name: _printable(held) for name, held in value.items()}
    return [_printable(held) for held in value] if isinstance(value, list) else value


def _party(party: Party) -> dict[str, Any]:
    address = [party.address_line1, party.address_line2, *_town(party), country_name(party.country)]
    numbers = [f"Tax ID {party.tax_id}" if party.tax_id else "", party.registration]
    contact = [party.email, party.phone]
    return {"name": party.name} | {
        name: [text for text in held if text]
        for name, held in (("address", address), ("numbers", numbers), ("contact", contact))
    }


def _town(party: Party) -> list[str]:
    """`Austin, TX 78744` where the code comes last, else `10115 Berlin`."""
    if party.country in LETTER_COUNTRIES:
        region = " ".join(part for part in (party.state, party.postal_code) if part)
        return [", ".join(part for part in (party.city, region) if part)]
    return [" ".join(part for part in (party.postal_code, party.city) if part), party.state]


def _facts(document: Document) -> list[list[str]]:
    first, last = document.days(document.period_start, document.period_end)
    is_note = document.kind is Kind.CREDIT_NOTE
    facts = [
        (f"{TITLES[document.kind]} number", document.number),
        ("Date", texts.day(document.issued_on)),
        ("Due", texts.day(document.due_on) if document.due_on else ""),
        ("Period", "" if document.kind is Kind.TOP_UP else texts.days(first, last)),
        ("Time zone", "" if document.kind is Kind.TOP_UP else str(document.zone)),
        ("For invoice" if is_note else "Replaces", document.corrects),
        ("Invoice of", texts.day(document.corrects_issued_on) if is_note and document.corrects_issued_on else ""),
        ("Contract", document.contract),
        ("Your reference", document.buyer.reference),
        ("Customer", document.tenant),
    ]
    return [[name, value] for name, value in facts if value]


def _intro(document: Document) -> list[str]:
    """Why there is a credit note, and what becomes of the money."""
    if document.kind is not Kind.CREDIT_NOTE:
        return []
    explained = DISPOSITIONS[CreditNote.Disposition(document.disposition)] if document.disposition else ""
    return [text for text in (f"Reason: {document.reason}" if document.reason else "", explained) if text]


def _sections(document: Document) -> list[dict[str, Any]]:
    found = []
    for heading, types in SECTIONS:
        lines = [line for line in document.lines if line.type in types]
        if lines:
            found.append({"title": heading, "groups": list(_groups(document, lines))})
    return found


def _credited(document: Document) -> list[dict[str, Any]]:
    rows = [
        _row(document, line, f"Line {line.position}: {title(line)}", line.explanation, with_quantity=False)
        for line in document.lines
    ]
    return [{"title": "Credited", "groups": [{"title": "", "rows": rows, "total": ""}]}] if rows else []


def _groups(document: Document, lines: list[DocumentLine]) -> Iterable[dict[str, Any]]:
    """Usage by model, in the order in which models stand on the invoice; adjustments by the invoice that they correct."""
    usage, adjusting = lines[0].type is LineType.USAGE, lines[0].type is LineType.ADJUSTMENT
    places: dict[str, int] = {}
    for line in lines:
        places.setdefault(_group(line), len(places))
    ordered = sorted(lines, key=lambda line: (places[_group(line)], *(_place(line) if usage else (line.position,))))
    for name, held in groupby(ordered, key=_group):
        group = list(held)
        amounts = [line.amount for line in group if line.billed]
        yield {
            "title": f"Invoice {name}" if adjusting and name else name,
            "rows": [
                _row(document, line, _described(line), _noted(document, line), with_quantity=usage or adjusting)
                for line in group
            ],
            "total": texts.money(sum(amounts, Decimal(0))) if (usage or adjusting) and len(amounts) > 1 else "",
        }


def _group(line: DocumentLine) -> str:
    if line.type is LineType.ADJUSTMENT:
        return line.origin
    return (line.model or "Other usage") if line.type is LineType.USAGE else ""


def _place(line: DocumentLine) -> tuple[Any, ...]:
    return (KINDS.get(line.kind, len(KINDS)), line.kind, not line.billed, line.tier, line.start, line.position)


def _row(document: Document, line: DocumentLine, text: str, note: str, *, with_quantity: bool) -> dict[str, Any]:
    priced = line.unit_amount is not None and line.billed and with_quantity
    return {
        "text": text,
        "note": note,
        "quantity": texts.exact(line.quantity) if with_quantity else "",
        "unit": line.unit if with_quantity else "",
        "price": texts.price(line.unit_amount, line.per, minor_digits(document.currency))
        if priced and line.unit_amount is not None
        else "",
        "amount": texts.money(line.amount) if line.billed else "not billed",
        "tax": texts.share(line.tax_rate),
        "billed": line.billed,
    }


def _described(line: DocumentLine) -> str:
    if line.type is LineType.USAGE:
        return ", ".join(details(line)) or "Usage"
    return title(line) if line.type is LineType.ADJUSTMENT else line.explanation


def _noted(document: Document, line: DocumentLine) -> str:
    """What is to be said beside the numbers: a part of the period, what is included, how tiers were counted, why it is not billed."""
    notes = []
    if line.type is LineType.ADJUSTMENT:
        notes.append(line.explanation)
    if (line.start, line.end) != (document.period_start, document.period_end):
        notes.append(_stretch(document, line))
    if line.type is LineType.USAGE and not line.billed:
        notes.append("of failed requests")
    elif line.type is LineType.USAGE and line.unit_amount is None:
        notes.append(line.explanation)
    if line.included:
        notes.append(f"{texts.exact(line.included)} of them included")
    return "; ".join(note for note in notes if note)


def _stretch(document: Document, line: DocumentLine) -> str:
    first, last = document.days(line.start, line.end)
    midnights = all(edge.astimezone(document.zone).time() == edge.min.time() for edge in (line.start, line.end))
    if midnights:
        return texts.days(first, last)
    return f"{texts.moment(line.start, document.zone)} to {texts.moment(line.end, document.zone)}"


def _totals(document: Document) -> list[dict[str, Any]]:
    currency = document.currency
    rows = [("Subtotal", document.subtotal, False)]
    rows += [
        (f"{_tax_name(document, tax)} {texts.share(tax.rate)} on {texts.money(tax.base)}", tax.amount, False)
        for tax in document.taxes
    ]
    rows.append((f"Total {currency}", document.total, True))
    if document.kind is not Kind.CREDIT_NOTE:
        rows += _dues(document)
    return [{"label": label, "amount": texts.money(amount), "strong": strong} for label, amount, strong in rows]


def _tax_name(document: Document, tax: DocumentTax) -> str:
    """What is charged is the tax of the buyer's country; what is not, that of the seller's."""
    country = document.buyer.country if tax.rate else document.seller.country
    found = standard_rate(country, document.issued_on)
    return found.name if found else "Tax"


def _dues(document: Document) -> list[tuple[str, Decimal, bool]]:
    rows = []
    if document.credits_applied > 0:
        rows.append(("Prepaid credit applied", -document.credits_applied, False))
    elif document.credits_applied < 0:
        rows.append(("Carried over to your credit", -document.credits_applied, False))
    rows.append((f"Amount due {document.currency}", document.amount_due, True))
    if document.paid:
        rows.append(("Paid", -document.paid, False))
    if document.credited:
        rows.append(("Credited", -document.credited, False))
    left = outstanding(document)
    if left and left != document.amount_due:
        rows.append((f"Outstanding {document.currency}", left, True))
    return rows


def _rounding(document: Document) -> str:
    left_out = sum((line.residual for line in document.lines if line.billed), Decimal(0))
    if document.kind is Kind.CREDIT_NOTE or not left_out:
        return ""
    more = "more" if left_out > 0 else "less"
    return (
        f"Each line is rounded once, half to even. Before rounding the lines come to "
        f"{texts.exact(abs(left_out))} {document.currency} {more} than the subtotal; that is not charged."
        if left_out > 0
        else f"Each line is rounded once, half to even. Before rounding the lines come to "
        f"{texts.exact(abs(left_out))} {document.currency} {more} than the subtotal."
    )


def _payment(document: Document) -> dict[str, Any] | None:
    """Nothing for a credit note: what becomes of it is said on top."""
    if document.kind is Kind.CREDIT_NOTE:
        return None
    left, seller = outstanding(document), document.seller
    if not left:
        return {"text": _settled(document), "account": []}
    if document.is_collected:
        text = f"{texts.money(left)} {document.currency} is collected from your payment method. There is nothing to transfer."
        return {"text": text, "account": []}
    due = (
        f"Please pay {texts.money(left)} {document.currency} by {texts.day(document.due_on)}"
        if document.due_on
        else "Please pay"
    )
    account = [
        ("Account holder", seller.name if seller.iban else ""),
        ("IBAN", texts.grouped(seller.iban)),
        ("BIC", seller.bic),
        ("Bank", seller.bank),
        ("Reference", document.number),
    ]
    return {"text": f"{due}, naming {document.number}.", "account": [[name, value] for name, value in account if value]}


def _settled(document: Document) -> str:
    match document.status:
        case InvoiceState.Status.VOID:
            return "This invoice is void. Nothing is to be paid for it."
        case InvoiceState.Status.UNCOLLECTIBLE:
            return "This invoice was written off."
        case InvoiceState.Status.PAID if document.paid:
            return "This invoice is paid. Thank you."
    return "Nothing is to be paid."


def _evidence(document: Document) -> dict[str, Any] | None:
    """How to check the invoice. None where no usage stands behind it."""
    held = document.evidence
    if held is None or document.kind is not Kind.INVOICE:
        return None
    versions = ", ".join(f"{book} version {version}" for book, version in held.price_versions)
    facts = [
        ("Usage as of", f"{held.watermark:%Y-%m-%d %H:%M:%S} UTC (seal {held.seal})"),
        ("Prices", versions),
        ("Rating", f"version {held.rating_version}"),
        ("Requests", _requests(document)),
        ("Tokens", f"{held.input_tokens:,} in, {held.output_tokens:,} out"),
    ]
    check = (
        f"Every request that arrived before that moment is on this invoice once. Your API key gets the proof for any one of them from "
        f"/api/v1/invoices/{document.number}/proof?request_id=…; docs/check_proof.py checks it against the digest above. "
        f"All lines down to single requests: /api/v1/invoices/{document.number}/items.csv?detail=requests"
    )
    return {
        "facts": [[name, value] for name, value in facts if value],
        "digest": held.usage_root,
        "check": check if held.usage_root else "",
    }


def _requests(document: Document) -> str:
    held = document.evidence
    if held is None:
        return ""
    unbilled = f", of them {held.requests_not_billed:,} not billed" if held.requests_not_billed else ""
    return f"{held.requests:,}{unbilled}"


def _footer(document: Document) -> str:
    seller = document.seller
    parts = (seller.name, seller.registration, f"Tax ID {seller.tax_id}" if seller.tax_id else "", seller.email)
    return "  ·  ".join(part for part in parts if part)
