"""Invoices as they were finalised, and the runs that make them. What becomes of an invoice afterwards is in `settlements`.

Rows of an invoice that is final are refused any change twice: here, with an error that says why, and by triggers, so that no query
set, shell or other program changes them by accident.
"""

from typing import Any

from django.db import models

from billing.models.base import Unchangeable, amount_of_usage, exact_amount, fraction, money, price_amount


class InvoiceSeries(models.Model):
    """The last number given out in a year. Its row is locked while numbers are given out, so that they have no gaps."""

    name = models.CharField(max_length=32, unique=True)  # e.g. TW-2026
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}-{self.last:06d}"


class InvoiceRun(models.Model):
    """One making of invoices. It fixes what they are made from, so that a run that is resumed makes the same ones."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"  # resumed by running it again

    cut_off = models.DateTimeField()  # periods whose end and grace lie at or before it are billed
    tenants = models.JSONField(null=True, blank=True)  # None: all
    # `2026-10`: the periods whose last day lies in it alone, whatever the grace; '' all that are due.
    month = models.CharField(max_length=7, blank=True)
    seal = models.PositiveBigIntegerField()
    watermark = models.DateTimeField()
    price_versions = models.JSONField()  # {book: version}
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    due = models.PositiveIntegerField(default=0)  # tenants and periods to bill
    done = models.PositiveIntegerField(default=0)
    invoices = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list, blank=True)  # [{"tenant", "problem"}]
    started_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"run {self.pk} up to {self.cut_off:%Y-%m-%d %H:%M}Z ({self.state})"


class Invoice(models.Model):
    """What a tenant owes for `[period_start, period_end)` as it was known at `watermark`.

    A draft is computed, never stored: a row without `finalised_at` exists within one transaction alone.
    """

    class Kind(models.TextChoices):
        USAGE = "usage"
        TOP_UP = "top_up"  # credit bought in advance

    number = models.CharField(max_length=32, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.USAGE)
    tenant = models.CharField(max_length=64)  # metering's key of the tenant
    contract = models.CharField(max_length=32, blank=True)  # its number; '' without one
    contract_revision = models.PositiveIntegerField(default=0)  # the latest when it was made
    time_zone = models.CharField(max_length=64, default="UTC")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    currency = models.CharField(max_length=3)
    edition = models.PositiveSmallIntegerField(default=0)  # 1 for the one that replaces a void one, and so on
    replaces = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by")
    run = models.ForeignKey(InvoiceRun, null=True, blank=True, on_delete=models.PROTECT, related_name="made")
    # What reproduces it: the seal with its watermark, the versions of the prices, the version of the rating rules.
    seal = models.PositiveBigIntegerField()
    watermark = models.DateTimeField()
    price_versions = models.JSONField()  # {book: version}
    rating_version = models.PositiveIntegerField()
    # What was metered in the period; requests that are not billed are within these.
    requests = models.PositiveBigIntegerField()
    requests_not_billed = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    cached_input_tokens = models.PositiveBigIntegerField()
    cache_write_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    reasoning_tokens = models.PositiveBigIntegerField()
    # The digest of its requests (docs/proof.md): a Merkle root in hex over so many leaves; '' without requests.
    usage_root = models.CharField(max_length=64, blank=True)
    usage_leaves = models.PositiveBigIntegerField(default=0)
    # Copies of what it is addressed with: {"name", "address_line1", ..., "tax_id"}; see billing/parties.py.
    seller = models.JSONField(default=dict)
    buyer = models.JSONField(default=dict)
    tax_category = models.CharField(max_length=4, default="O")  # EN 16931 (UNCL5305): S, Z, E, AE, G, O
    tax_note = models.CharField(max_length=300, blank=True)  # why there is none, as the law wants it printed
    subtotal = money()
    tax = money()
    total = money()
    # Prepaid credit that pays for it. Negative: a total below zero, carried over to the tenant's credit.
    credits_applied = money(default=0)
    amount_due = money()
    issued_on = models.DateField()
    due_on = models.DateField()
    created_at = models.DateTimeField(auto_now_add=True)
    finalised_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "period_start", "period_end", "currency", "edition"],
                condition=models.Q(kind="usage"),
                name="one_invoice_per_tenant_and_period",
            ),
            models.CheckConstraint(
                name="period_not_empty", condition=models.Q(period_start__lt=models.F("period_end"))
            ),
            models.CheckConstraint(
                name="total_is_subtotal_and_tax", condition=models.Q(total=models.F("subtotal") + models.F("tax"))
            ),
            models.CheckConstraint(
                name="due_is_total_less_credits",
                condition=models.Q(amount_due=models.F("total") - models.F("credits_applied"))
                & models.Q(amount_due__gte=0),
            ),
        )
        indexes = (models.Index(fields=["tenant", "-period_end"], name="invoice_by_tenant"),)

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        refuse_if_final(self.pk)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        refuse_if_final(self.pk)
        return super().delete(*args, **kwargs)


class InvoiceRow(models.Model):
    """A part of an invoice: as final as the invoice is."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        refuse_if_final(self.invoice_id)  # type: ignore[attr-defined]
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        refuse_if_final(self.invoice_id)  # type: ignore[attr-defined]
        return super().delete(*args, **kwargs)


class InvoiceLine(InvoiceRow):
    """One line, as `billing.rating.lines.Line` has it. `amount_exact` = `amount` + `residual`."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()  # from 1
    type = models.CharField(max_length=16)  # billing.rating.LineType
    key = models.TextField()  # names the line within its period, whatever the amounts
    # Where an adjustment's usage was billed first; the line's key is that of the line it corrects.
    origin = models.ForeignKey(Invoice, null=True, blank=True, on_delete=models.PROTECT, related_name="adjusted_by")
    model = models.TextField(blank=True)  # as metered: how long it may be is for metering to say
    tier = models.TextField(blank=True)
    operation = models.TextField(blank=True)
    region = models.TextField(blank=True)
    context_over = models.PositiveBigIntegerField(default=0)
    kind = models.CharField(max_length=80, blank=True)
    start = models.DateTimeField()
    end = models.DateTimeField()
    quantity = amount_of_usage()
    included = amount_of_usage(default=0)  # of `quantity`: what an allowance covered
    unit = models.CharField(max_length=32, default="tokens")
    billed = models.BooleanField()
    charge_model = models.CharField(max_length=16, blank=True)
    unit_amount = price_amount(null=True)  # null where it is not billed, or no single amount says it
    per = models.PositiveBigIntegerField(default=1_000_000)
    amount_exact = exact_amount()
    amount = money()
    residual = exact_amount()
    tax_rate = fraction(default=0)
    explanation = models.TextField()
    detail = models.JSONField(default=dict, blank=True)  # the tiers of a charge, the evidence of a service credit

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_per_position"),
            models.CheckConstraint(
                name="residual_adds_up", condition=models.Q(amount_exact=models.F("amount") + models.F("residual"))
            ),
        )

    def __str__(self) -> str:
        return f"{self.invoice} line {self.position}"


class InvoiceTax(InvoiceRow):
    """The tax of one rate: `rate` (0.19 for 19 %) of `base`, the sum of the rounded lines of that rate."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="taxes")
    rate = fraction()
    base = money()
    amount = money()

    class Meta:
        ordering = ("rate",)
        constraints = (models.UniqueConstraint(fields=["invoice", "rate"], name="one_tax_per_rate"),)

    def __str__(self) -> str:
        return f"{self.invoice} tax at {self.rate}"


def refuse_if_final(invoice_id: int | None) -> None:
    if invoice_id is not None and Invoice.objects.filter(pk=invoice_id, finalised_at__isnull=False).exists():
        raise Unchangeable("a finalised invoice is never changed: what comes later is an adjustment or a credit note")
