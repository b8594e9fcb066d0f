"""Margins of a month as they were last added up, for pages."""

from django.db import models


class KeptMargin(models.Model):
    """Of `[start, end)`: what `margin_reports` said at `kept_at`, by tenant and by model. `basis`: prices, tariffs and customers then.

    Added up anew every few minutes: nothing is lost with a row, and no invoice ever reads one.
    """

    start = models.DateTimeField(unique=True)
    end = models.DateTimeField()
    kept_at = models.DateTimeField()
    basis = models.CharField(max_length=64)
    by_tenant = models.JSONField()
    by_model = models.JSONField()

    def __str__(self) -> str:
        return f"margins of {self.start:%Y-%m} up to {self.end:%Y-%m-%dT%H:%MZ}"
