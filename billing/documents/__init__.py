"""Documents that a customer gets: the invoice and the credit note as PDF, the electronic invoice (EN 16931), the itemised CSV.

Each is made when it is asked for, from rows that never change, and is the same every time; only the mark of a paid or void invoice
comes and goes. `tenant` None: anybody's; else another tenant's raises NoSuchDocument, as one that does not exist does.
"""

from billing.documents import einvoice, reading, typesetting
from billing.documents.document import Document, NoElectronicInvoice, NoSuchDocument
from billing.documents.itemised import Detail, itemised_csv
from billing.documents.streaming import streamed

__all__ = [
    "Detail",
    "NoElectronicInvoice",
    "NoSuchDocument",
    "credit_note_pdf",
    "credit_note_xml",
    "einvoice_xml",
    "itemised_csv",
    "pdf",
    "streamed",
]


def pdf(number: str, tenant: str | None = None) -> bytes:
    """PDF/A-3; with the electronic invoice inside (Factur-X) wherever there can be one. Raises NoSuchDocument."""
    return _pdf(reading.invoice(number, tenant))


def einvoice_xml(number: str, tenant: str | None = None) -> bytes:
    """Raises NoSuchDocument, and NoElectronicInvoice with what is missing."""
    return einvoice.xml(reading.invoice(number, tenant))


def credit_note_pdf(number: str, tenant: str | None = None) -> bytes:
    """Raises NoSuchDocument."""
    return _pdf(reading.credit_note(number, tenant))


def credit_note_xml(number: str, tenant: str | None = None) -> bytes:
    """Raises NoSuchDocument, NoElectronicInvoice."""
    return einvoice.xml(reading.credit_note(number, tenant))


def _pdf(document: Document) -> bytes:
    try:
        inside = einvoice.xml(document)
    except NoElectronicInvoice:
        inside = b""
    return typesetting.render(document, inside)
