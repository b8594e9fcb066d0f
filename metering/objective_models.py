"""What latency and availability are promised: the rows that an operator writes, and how far they are counted."""

import secrets
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

OBJECTIVE_NAME = RegexValidator(r"\A[^\x00-\x1f\x7f]{1,80}\Z", "1 to 80 characters, no control characters")
LONGEST_WINDOW_DAYS = 90


def new_counts() -> int:
    """An id that no count was ever kept under, whatever became of the rows here."""
    return secrets.randbits(63)


class Objective(models.Model):
    """`target` of all requests in scope are good, over any `window_days` days. Scope: '' is all.

    A latency's request is good if it takes at most `threshold_ms`; errors and requests that do not say how long it took are not counted.
    Of `error` every request counts, and one without an error is good.
    """

    class Measure(models.TextChoices):
        TTFT = "ttft_ms", "time to first token"
        TPOT = "tpot_ms", "time per output token"
        E2E = "e2e_ms", "end to end"
        ERROR = "error", "availability"

    name = models.CharField(max_length=80, unique=True, validators=[OBJECTIVE_NAME])
    region = models.CharField(max_length=200, blank=True)
    cluster = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200, blank=True)
    tenant = models.CharField(max_length=64, blank=True)
    tier = models.CharField(max_length=200, blank=True)
    measure = models.CharField(max_length=16, choices=Measure.choices)
    threshold_ms = models.DecimalField(
        max_digits=12, decimal_places=3, null=True, blank=True, validators=[MinValueValidator(Decimal("0.001"))]
    )
    target = models.DecimalField(
        max_digits=8,
        decimal_places=6,
        validators=[MinValueValidator(Decimal("0.5")), MaxValueValidator(Decimal("0.999999"))],
    )
    window_days = models.PositiveSmallIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(LONGEST_WINDOW_DAYS)]
    )
    # Its counts in ClickHouse. Another definition has others, so that what is read is never a mixture of two.
    counts = models.PositiveBigIntegerField(unique=True, default=new_counts, editable=False)
    # Every minute from here on is counted; goes back until the window is whole. None: not begun.
    counted_from = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                name="objective_has_a_threshold_of_latency",
                condition=models.Q(measure="error", threshold_ms__isnull=True)
                | (~models.Q(measure="error") & models.Q(threshold_ms__gt=0)),
            ),
        )

    def __str__(self) -> str:
        return self.name


class ObjectiveProgress(models.Model):
    """How far requests have been counted for all objectives; see metering/objectives/progress.py. There is one row."""

    watermark = models.DateTimeField()  # everything that arrived before it has been looked at
    closed_until = models.DateTimeField()  # every minute before it is counted, or in `due`
    seal = models.PositiveBigIntegerField(default=0)  # duplicates of seals up to this one have been taken out
    due = models.JSONField(default=list)  # [start, end) in epoch seconds, the oldest first
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"objectives: closed until {self.closed_until:%Y-%m-%dT%H:%MZ}"
