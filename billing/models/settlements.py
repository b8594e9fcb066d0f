"""What becomes of an invoice after it is final: its state, payments, refunds, credit notes, reminders. The invoice itself never changes."""

from django.db import models

from billing.models.base import AppendOnly, fraction, money
from billing.models.invoices import Invoice, InvoiceLine


class InvoiceState(models.Model):
    """Where an invoice stands. `paid` + `credited` reach `amount_due`: it is paid. Derived from the rows below, kept for lists."""

    class Status(models.TextChoices):
        OPEN = "open"
        PAID = "paid"
        PAST_DUE = "past_due"
        VOID = "void"
        UNCOLLECTIBLE = "uncollectible"

    invoice = models.OneToOneField(Invoice, primary_key=True, on_delete=models.PROTECT, related_name="state")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN, db_index=True)
    paid = money(default=0)  # payments less refunds that no credit note explains
    credited = money(default=0)  # by credit notes that reduce what is due
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.invoice}: {self.status}"


class InvoiceEvent(AppendOnly):
    """The history of an invoice: who did what, when."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    type = models.CharField(
        max_length=32
    )  # finalised, sent, payment, payment_failed, refund, credit_note, past_due, reminder, void, ...
    actor = models.CharField(max_length=150)  # a user's name, `stripe`, or `schedule`
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.invoice}: {self.type}"


class Payment(AppendOnly):
    """Money that arrived for an invoice. `reference` makes recording it twice impossible."""

    class Method(models.TextChoices):
        MANUAL = "manual"
        STRIPE = "stripe"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    method = models.CharField(max_length=8, choices=Method.choices)
    amount = money()
    reference = models.CharField(max_length=128, unique=True)  # of the bank, or Stripe's id
    received_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=150, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.CheckConstraint(name="payment_positive", condition=models.Q(amount__gt=0)),)

    def __str__(self) -> str:
        return f"{self.amount} for {self.invoice}"


class CreditNote(AppendOnly):
    """An invoice taken back in part or whole. Amounts are positive; numbers have a series of their own, without gaps."""

    class Disposition(models.TextChoices):
        REDUCE = "reduce"  # less is due on the invoice
        REFUND = "refund"  # money goes back
        CREDIT = "credit"  # the tenant's prepaid credit grows

    number = models.CharField(max_length=32, unique=True)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    reason = models.CharField(max_length=500)
    disposition = models.CharField(max_length=8, choices=Disposition.choices)
    subtotal = money()
    tax = money()
    total = money()
    idempotency_key = models.CharField(max_length=128, unique=True)
    issued_on = models.DateField()
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="note_total_is_subtotal_and_tax", condition=models.Q(total=models.F("subtotal") + models.F("tax"))
            ),
        )

    def __str__(self) -> str:
        return self.number


class CreditNoteLine(AppendOnly):
    note = models.ForeignKey(CreditNote, on_delete=models.PROTECT, related_name="lines")
    line = models.ForeignKey(InvoiceLine, on_delete=models.PROTECT, related_name="credited")
    amount = money()  # positive, before tax
    tax_rate = fraction()
    explanation = models.CharField(max_length=500)

    def __str__(self) -> str:
        return f"{self.note}: {self.amount}"


class Refund(AppendOnly):
    """Money that goes back. `reference` is ours, and derives the key that keeps a gateway from paying it twice."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    note = models.ForeignKey(CreditNote, null=True, blank=True, on_delete=models.PROTECT, related_name="refunds")
    amount = money()
    reason = models.CharField(max_length=500)
    reference = models.CharField(max_length=128, unique=True)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.amount} of {self.payment} back"


class Reminder(AppendOnly):
    """A reminder that was sent; one per step of the schedule."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="reminders")
    step = models.SmallIntegerField()  # days after the due date: -3 is three days before it
    sent_to = models.JSONField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["invoice", "step"], name="one_reminder_per_step"),)

    def __str__(self) -> str:
        return f"{self.invoice}: reminder {self.step}"
