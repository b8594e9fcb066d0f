"""Energy in PostgreSQL: fitted coefficients, and what a kilowatt-hour and a GPU-hour cost. Rows are only ever added."""

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from metering.validators import CURRENCY

ANY = "*"  # any region, any GPU
BEGINNING_HOUR, END_HOUR = 0, 24
PRICE_DIGITS = (20, 9)  # all of them, and those after the point
NOT_NEGATIVE = MinValueValidator(Decimal(0))


class EnergyCoefficients(models.Model):
    """What tokens of a model cost on a kind of GPU, as one fit found it. `accepted`: windows from `effective_from` on use it.

    `prefill_j`: of a prompt token, the baseline included, and `prefill_context_j` more for each token that stands before it. `decode_j`:
    of an output token beyond the time that its step takes, and `decode_w` what each GPU draws in that time, above idle.
    Errors are standard errors. A fit that is not accepted is kept with its reason: it tells why the one before stays in use.
    """

    model = models.CharField(max_length=200)
    product = models.CharField(max_length=200)  # the GPU's name
    simulated = models.BooleanField()
    prefill_j = models.FloatField()
    prefill_context_j = models.FloatField()
    decode_j = models.FloatField()
    decode_w = models.FloatField()
    prefill_error_j = models.FloatField(null=True)
    prefill_context_error_j = models.FloatField(null=True)
    decode_error_j = models.FloatField(null=True)
    decode_error_w = models.FloatField(null=True)
    r_squared = models.FloatField(null=True)
    windows = models.PositiveIntegerField()
    data_from = models.DateTimeField()
    data_until = models.DateTimeField()
    effective_from = models.DateTimeField()
    accepted = models.BooleanField()
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("model", "product", "effective_from", "id")
        indexes = (models.Index(fields=["model", "product", "effective_from"], name="coefficients_by_model"),)

    def __str__(self) -> str:
        return f"{self.model} on {self.product}: {self.prefill_j:.3g} and {self.decode_j:.3g} J"


class EnergyPrice(models.Model):
    """What a kWh costs in a region ('*': any that has none of its own) in some hours of the day, UTC, from a moment on.

    `from_hour` = 22 and `to_hour` = 6 is the night. A price holds until the next of the same region, hours and currency.
    """

    region = models.CharField(max_length=64)
    from_hour = models.PositiveSmallIntegerField(default=BEGINNING_HOUR, validators=[MaxValueValidator(23)])
    to_hour = models.PositiveSmallIntegerField(default=END_HOUR, validators=[MaxValueValidator(24)])
    per_kwh = models.DecimalField(max_digits=PRICE_DIGITS[0], decimal_places=PRICE_DIGITS[1], validators=[NOT_NEGATIVE])
    currency = models.CharField(max_length=3, validators=[CURRENCY])
    effective_from = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("region", "effective_from", "id")

    def __str__(self) -> str:
        return f"{self.per_kwh} {self.currency}/kWh in {self.region}, {self.from_hour} to {self.to_hour} h"


class CarbonIntensity(models.Model):
    """Grams of CO2 per kWh in a region ('*': any that has none of its own) from a moment on."""

    region = models.CharField(max_length=64)
    g_per_kwh = models.DecimalField(max_digits=12, decimal_places=3, validators=[NOT_NEGATIVE])
    effective_from = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("region", "effective_from", "id")

    def __str__(self) -> str:
        return f"{self.g_per_kwh} g/kWh in {self.region}"


class GpuPrice(models.Model):
    """What an hour of a GPU costs, of a product or '*', in a region or '*', from a moment on."""

    product = models.CharField(max_length=200)
    region = models.CharField(max_length=64)
    per_gpu_hour = models.DecimalField(
        max_digits=PRICE_DIGITS[0], decimal_places=PRICE_DIGITS[1], validators=[NOT_NEGATIVE]
    )
    currency = models.CharField(max_length=3, validators=[CURRENCY])
    effective_from = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("product", "region", "effective_from", "id")

    def __str__(self) -> str:
        return f"{self.per_gpu_hour} {self.currency} an hour of {self.product} in {self.region}"


class EnergyDay(models.Model):
    """A day (UTC) that is over, and which rows of ClickHouse's energy_days and energy_day_hours are its sums: those of `version`.

    0: its hours were written again at `changed_at`, and it is to be summed up anew. `bands`: the hours at which a price may have changed
    within the day when it was summed up.
    """

    day = models.DateField(unique=True)
    version = models.PositiveBigIntegerField(default=0)
    bands = models.CharField(max_length=80, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ("day",)

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}: {self.version or 'to be summed up'}"
