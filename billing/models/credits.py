"""Prepaid and promotional credit as a double-entry ledger: every transaction's entries sum to zero, and no entry is ever changed.

Accounts are names. `credit:<grant id>` is what a grant still holds; against it stand `cash`, `promotion` (given away), `invoice:<number>`
(used), `expired`, `refund`, `carried` (from an invoice below zero, or a credit note). A grant's balance is the sum of its entries.
"""

from django.db import models

from billing.models.base import AppendOnly, money


class CreditGrant(AppendOnly):
    """Credit that was given or sold. Promotional credit lowers what is taxed; paid and carried credit pays what is due after tax."""

    class Kind(models.TextChoices):
        PROMOTIONAL = "promotional"
        PAID = "paid"
        CARRIED = "carried"

    tenant = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=200)
    amount = money()
    priority = models.PositiveSmallIntegerField(default=50)  # the lowest burns first
    effective_from = models.DateTimeField()  # on quarters of an hour: usage before it is not covered
    expires_at = models.DateTimeField(null=True, blank=True)  # exclusive
    models_covered = models.JSONField(default=list, blank=True)  # names of models; [] any. Promotional credit only
    source = models.CharField(
        max_length=128, unique=True
    )  # why it exists, once: `top-up:TW-2026-000001`, `by hand:<key>`
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(name="grant_positive", condition=models.Q(amount__gt=0)),
            models.CheckConstraint(
                name="grant_expires_after_it_begins",
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("effective_from")),
            ),
        )
        indexes = (models.Index(fields=["tenant", "currency"], name="grant_by_tenant"),)

    def __str__(self) -> str:
        return f"{self.name}: {self.amount} {self.currency} for {self.tenant}"


class CreditTransaction(AppendOnly):
    class Type(models.TextChoices):
        GRANT = "grant"
        APPLY = "apply"  # to an invoice
        RELEASE = "release"  # back, from an invoice that became void
        EXPIRE = "expire"
        REFUND = "refund"
        REVOKE = "revoke"  # what was given is taken back

    type = models.CharField(max_length=8, choices=Type.choices)
    tenant = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    reference = models.CharField(max_length=160, unique=True)  # doing it twice is impossible
    note = models.CharField(max_length=500, blank=True)
    detail = models.JSONField(
        default=dict, blank=True
    )  # `cut_at`: the edges of grants at which an invoice's usage was cut
    created_by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=["tenant", "id"], name="credit_transaction_by_tenant"),)

    def __str__(self) -> str:
        return f"{self.type} {self.reference}"


class CreditEntry(AppendOnly):
    """One side of a transaction. Positive: the account grows. A deferred trigger holds the sum of each transaction at zero."""

    transaction = models.ForeignKey(CreditTransaction, on_delete=models.PROTECT, related_name="entries")
    account = models.CharField(max_length=64, db_index=True)
    grant = models.ForeignKey(CreditGrant, null=True, blank=True, on_delete=models.PROTECT, related_name="entries")
    amount = money()

    def __str__(self) -> str:
        return f"{self.account}: {self.amount}"


class TopUpRule(models.Model):
    """Credit that buys itself: below `threshold`, an invoice for `amount` is made and collected; when it is paid, the grant is there."""

    tenant = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    threshold = money()
    amount = money()
    valid_days = models.PositiveIntegerField(null=True, blank=True)  # None: what is bought never expires
    most_per_month = money(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["tenant", "currency"], name="one_top_up_rule_per_tenant"),
            models.CheckConstraint(name="top_up_positive", condition=models.Q(amount__gt=0, threshold__gte=0)),
        )

    def __str__(self) -> str:
        return f"{self.tenant}: {self.amount} {self.currency} below {self.threshold}"
