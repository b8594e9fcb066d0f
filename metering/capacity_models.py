"""Capacity in PostgreSQL: forecasts of demand, and what the fleet was found to take. All of it can be worked out anew at any time."""

from django.db import models


class DemandForecast(models.Model):
    """Of the requests of one scope; '' is any. `found` is empty until it was first worked out (metering/capacity/storing.py has its form).

    `asked_at`: when somebody last wanted it worked out; `seen_at`: when a page last showed it, to the day: what nobody looks at goes.
    """

    region = models.CharField(max_length=200, blank=True)
    cluster = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200, blank=True)
    tenant = models.CharField(max_length=200, blank=True)
    tier = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    made_at = models.DateTimeField(null=True)
    found = models.JSONField(default=dict)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["region", "cluster", "model", "tenant", "tier"], name="one_forecast_of_a_scope"
            ),
        )

    def __str__(self) -> str:
        return f"demand of {self.model or 'all models'}, {self.region or 'everywhere'}"


class FleetCapacity(models.Model):
    """What all pools can take, as last worked out; one row."""

    name = models.CharField(max_length=16, unique=True)
    asked_at = models.DateTimeField()
    made_at = models.DateTimeField(null=True)
    found = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"capacity of the fleet, {self.made_at or 'not worked out yet'}"
