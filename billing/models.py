"""What billing keeps in PostgreSQL: the price book and invoices. Both only ever grow.

Rows of the price book, and invoices once they are final, are refused any change twice: here, with an error that says why, and by
triggers (migration 0002), so that no query set, shell or other program changes them by accident.
"""

from typing import Any

from django.db import models

# Prices have up to 12 digits after the point, and dividing by a million adds 6: exact amounts are stored to the last digit.
# Rounded amounts have 4, since no currency has a smaller unit than 1/10000.
PRICE_DIGITS = (24, 12)


class Unchangeable(RuntimeError):
    """A change to a row that is part of the record: a price, or an invoice that is final."""


class AppendOnly(models.Model):
    """A row that is written once."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Unchangeable(f"{self._meta.verbose_name} {self} is never changed: add a new one")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise Unchangeable(f"{self._meta.verbose_name} {self} is never deleted")


class PriceBook(models.Model):
    """A set of prices. There is one, the list, until contracts bring their own."""

    name = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.name


class PriceBookVersion(AppendOnly):
    """One change of a book. An invoice names the version it was rated with."""

    book = models.ForeignKey(PriceBook, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["book", "number"], name="one_version_per_number"),)

    def __str__(self) -> str:
        return f"{self.book} v{self.number}"


class Price(AppendOnly):
    """What a million tokens cost from `effective_from` on. `model` '*': any; `tier` '': any."""

    version = models.ForeignKey(PriceBookVersion, on_delete=models.PROTECT, related_name="prices")
    model = models.CharField(max_length=200)
    kind = models.CharField(max_length=32)  # billing.rating.Kind
    tier = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3)
    per_million = models.DecimalField(max_digits=PRICE_DIGITS[0], decimal_places=PRICE_DIGITS[1])
    effective_from = models.DateTimeField()

    class Meta:
        constraints = (models.CheckConstraint(name="price_not_negative", condition=models.Q(per_million__gte=0)),)

    def __str__(self) -> str:
        return f"{self.model} {self.kind} {self.tier or 'any tier'}: {self.per_million} {self.currency}"


class InvoiceSeries(models.Model):
    """The last number given out in a year. Its row is locked while invoices are written, so that numbers have no gaps."""

    name = models.CharField(max_length=32, unique=True)  # e.g. TW-2026
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}-{self.last:06d}"


class Invoice(models.Model):
    """What a tenant owes for the usage of `[period_start, period_end)` as it was known at `watermark`."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        OPEN = "open"

    number = models.CharField(max_length=32, unique=True)
    tenant = models.CharField(max_length=64)  # metering's key of the tenant
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DRAFT)
    # What reproduces it: the seal with its watermark, the version of the prices, the version of the rating rules.
    seal = models.PositiveBigIntegerField()
    watermark = models.DateTimeField()
    price_book = models.CharField(max_length=64)
    price_version = models.PositiveIntegerField()
    rating_version = models.PositiveIntegerField()
    # What was metered in the period; requests that are not billed are within these.
    requests = models.PositiveBigIntegerField()
    requests_not_billed = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    cached_input_tokens = models.PositiveBigIntegerField()
    cache_write_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    reasoning_tokens = models.PositiveBigIntegerField()
    subtotal = models.DecimalField(max_digits=24, decimal_places=4)
    tax = models.DecimalField(max_digits=24, decimal_places=4)
    total = models.DecimalField(max_digits=24, decimal_places=4)
    created_at = models.DateTimeField(auto_now_add=True)
    finalised_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["tenant", "period_start", "period_end", "currency"], name="one_invoice_per_tenant_and_period"
            ),
            models.CheckConstraint(
                name="final_unless_draft",
                condition=models.Q(status="draft", finalised_at__isnull=True)
                | (~models.Q(status="draft") & models.Q(finalised_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="period_not_empty", condition=models.Q(period_start__lt=models.F("period_end"))
            ),
            models.CheckConstraint(
                name="total_is_subtotal_and_tax", condition=models.Q(total=models.F("subtotal") + models.F("tax"))
            ),
        )

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        _refuse_if_final(self.pk)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        _refuse_if_final(self.pk)
        return super().delete(*args, **kwargs)


class InvoiceRow(models.Model):
    """A part of an invoice: as final as the invoice is."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        _refuse_if_final(self.invoice_id)  # type: ignore[attr-defined]
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        _refuse_if_final(self.invoice_id)  # type: ignore[attr-defined]
        return super().delete(*args, **kwargs)


class InvoiceLine(InvoiceRow):
    """Tokens of one kind of a model and tier at one price. `amount_exact` = `amount` + `residual`."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()  # from 1
    model = models.TextField()  # as metered: how long it may be is for metering to say
    tier = models.TextField(blank=True)
    kind = models.CharField(max_length=32)
    start = models.DateTimeField()
    end = models.DateTimeField()
    quantity = models.PositiveBigIntegerField()
    billed = models.BooleanField()
    per_million = models.DecimalField(
        null=True, max_digits=PRICE_DIGITS[0], decimal_places=PRICE_DIGITS[1]
    )  # null where it is not billed
    amount_exact = models.DecimalField(max_digits=38, decimal_places=18)
    amount = models.DecimalField(max_digits=24, decimal_places=4)
    residual = models.DecimalField(max_digits=38, decimal_places=18)
    tax_rate = models.DecimalField(max_digits=7, decimal_places=6, default=0)
    explanation = models.TextField()

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_per_position"),
            models.CheckConstraint(
                name="billed_lines_have_a_price", condition=models.Q(billed=False) | models.Q(per_million__isnull=False)
            ),
            models.CheckConstraint(
                name="residual_adds_up", condition=models.Q(amount_exact=models.F("amount") + models.F("residual"))
            ),
        )

    def __str__(self) -> str:
        return f"{self.invoice} line {self.position}"


class InvoiceTax(InvoiceRow):
    """The tax of one rate: `rate` (0.19 for 19 %) of `base`, the sum of the rounded lines of that rate."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="taxes")
    rate = models.DecimalField(max_digits=7, decimal_places=6)
    base = models.DecimalField(max_digits=24, decimal_places=4)
    amount = models.DecimalField(max_digits=24, decimal_places=4)

    class Meta:
        ordering = ("rate",)
        constraints = (models.UniqueConstraint(fields=["invoice", "rate"], name="one_tax_per_rate"),)

    def __str__(self) -> str:
        return f"{self.invoice} tax at {self.rate}"


def _refuse_if_final(invoice_id: int | None) -> None:
    if invoice_id is not None and Invoice.objects.filter(pk=invoice_id, finalised_at__isnull=False).exists():
        raise Unchangeable("a finalised invoice is never changed: what comes later is an adjustment or a credit note")
