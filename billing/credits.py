"""Prepaid and promotional credit (docs/credits.md): what the rest of billing calls.

Giving it (`credit_grants`), using it on invoices (`credit_application`), taking it back (`credit_returns`), and checking the books
(`credit_checks`). Below all of them is the double-entry ledger (`credit_ledger`).
"""

from billing.credit_application import Applied, Charges, again, apply_to_drafts, cut_at, edges, preview
from billing.credit_checks import check_balanced
from billing.credit_grants import Carry, carry, carry_note, grant, invoice_paid
from billing.credit_ledger import CreditRefused
from billing.credit_returns import expire_due, refund_grant, release, revoke, take_back

__all__ = [
    "Applied",
    "Carry",
    "Charges",
    "CreditRefused",
    "again",
    "apply_to_drafts",
    "carry",
    "carry_note",
    "check_balanced",
    "cut_at",
    "edges",
    "expire_due",
    "grant",
    "invoice_paid",
    "preview",
    "refund_grant",
    "release",
    "revoke",
    "take_back",
]
