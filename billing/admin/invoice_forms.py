"""What can be done about an invoice, as forms. The services decide whether it may."""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Sum
from django.utils import timezone

from billing import credit_notes, settling, voiding
from billing.admin.base import Asking
from billing.admin.fields import dressed
from billing.models import CreditNote, Invoice

MOST_LINES = 200


class OfInvoice(Asking):
    """A form about one invoice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invoice = Invoice.objects.select_related("state").get(pk=self.object_id)
        self.prepare()
        dressed(self)

    def prepare(self) -> None:
        """Fields that depend on the invoice."""


class PaymentForm(OfInvoice):
    amount = forms.DecimalField()
    reference = forms.CharField(max_length=128, help_text="of the bank: the same one twice is one payment")
    received_on = forms.DateField()

    def prepare(self) -> None:
        self.fields["amount"].initial = settling.outstanding(self.invoice.state)
        self.fields["received_on"].initial = timezone.localdate()

    def act(self, values: dict[str, Any]) -> str:
        received = datetime.combine(values["received_on"], time(), UTC)
        payment = settling.record_payment(
            self.invoice.number, values["amount"], values["reference"], received_at=received, actor=self.actor
        )
        return f"{payment.amount} {self.invoice.currency} is recorded for {self.invoice.number}."


class CreditNoteForm(OfInvoice):
    """One amount for each line that charges something: what is left empty stays."""

    reason = forms.CharField(max_length=500)
    disposition = forms.ChoiceField(choices=CreditNote.Disposition.choices)
    key = forms.CharField(widget=forms.HiddenInput)

    def prepare(self) -> None:
        self.fields["key"].initial = f"back-office:{self.invoice.number}:{timezone.now():%Y%m%dT%H%M%S%f}"
        lines = self.invoice.lines.filter(amount__gt=0).annotate(gone=Sum("credited__amount"))
        for line in lines[:MOST_LINES]:
            left = line.amount - (line.gone or 0)
            if left > 0:
                self.fields[f"line_{line.position}"] = forms.DecimalField(
                    required=False,
                    min_value=Decimal(0),
                    label=f"{line.position}. {line.model or line.type} {line.kind}".strip(),
                    help_text=f"{line.explanation}; left: {left} {self.invoice.currency} before tax",
                )

    def act(self, values: dict[str, Any]) -> str:
        amounts = {
            int(name.removeprefix("line_")): amount
            for name, amount in values.items()
            if name.startswith("line_") and amount
        }
        note = credit_notes.issue(
            self.invoice.number,
            amounts,
            reason=values["reason"],
            disposition=values["disposition"],
            idempotency_key=values["key"],
            actor=self.actor,
        )
        return f"Credit note {note.number} over {note.total} {self.invoice.currency} is issued."


class VoidForm(OfInvoice):
    reason = forms.CharField(max_length=500)

    def act(self, values: dict[str, Any]) -> str:
        voiding.void(self.invoice.number, actor=self.actor, reason=values["reason"])
        return f"{self.invoice.number} is void. Its period is billed anew by “Reissue” alone."


class UncollectibleForm(OfInvoice):
    reason = forms.CharField(max_length=500)

    def act(self, values: dict[str, Any]) -> str:
        settling.mark_uncollectible(self.invoice.number, reason=values["reason"], actor=self.actor)
        return f"{self.invoice.number} is given up."


class ReissueForm(OfInvoice):
    def act(self, values: dict[str, Any]) -> str:
        made = voiding.reissue(self.invoice.number, actor=self.actor)
        return f"{made.number} replaces {self.invoice.number}."
