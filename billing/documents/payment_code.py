"""The payment as a QR code that banking apps read: EPC069-12, for credit transfers in EUR."""

from decimal import Decimal
from io import BytesIO

from segno import helpers

from billing.documents.document import Document, Kind
from billing.models import InvoiceState

TO_PAY = {InvoiceState.Status.OPEN, InvoiceState.Status.PAST_DUE}
LONGEST_NAME = 70  # of the payee, as EPC069-12 has it
LONGEST_TEXT = 140


def outstanding(document: Document) -> Decimal:
    """What is still to be paid. 0 for a credit note and for what is paid, void or given up."""
    if document.kind is Kind.CREDIT_NOTE or document.status not in TO_PAY:
        return Decimal(0)
    return max(document.amount_due - document.paid - document.credited, Decimal(0))


def svg(document: Document) -> str:
    """'' where there is nothing to pay, no account to pay it to, or a currency other than EUR."""
    amount = outstanding(document)
    seller = document.seller
    if document.currency != "EUR" or not amount or not seller.iban or document.is_collected:
        return ""
    try:
        code = helpers.make_epc_qr(
            name=seller.name[:LONGEST_NAME],
            iban=seller.iban,
            bic=seller.bic or None,
            amount=amount,
            text=document.number[:LONGEST_TEXT],
        )
    except ValueError:  # an account number, or an amount, that the code has no place for
        return ""
    held = BytesIO()
    code.save(held, kind="svg", border=0, xmldecl=False, svgns=True, scale=4)
    return held.getvalue().decode()
