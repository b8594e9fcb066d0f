"""Accounts, keys, ingest hosts and seals: what metering keeps in PostgreSQL. Events are in ClickHouse."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from metering.alert_models import (
    AlertChannel,
    AlertEvent,
    AlertNotice,
    AlertRule,
    AlertSample,
    AlertSilence,
    AlertState,
    Annotation,
)
from metering.capacity_models import DemandForecast, FleetCapacity
from metering.energy_models import CarbonIntensity, EnergyCoefficients, EnergyDay, EnergyPrice, GpuPrice
from metering.objective_models import Objective, ObjectiveProgress
from metering.validators import CURRENCY

__all__ = [  # Django looks for models here
    "AlertChannel",
    "AlertEvent",
    "AlertNotice",
    "AlertRule",
    "AlertSample",
    "AlertSilence",
    "AlertState",
    "Annotation",
    "CarbonIntensity",
    "DemandForecast",
    "EnergyCoefficients",
    "EnergyDay",
    "EnergyPrice",
    "FleetCapacity",
    "GpuPrice",
    "Objective",
    "ObjectiveProgress",
]

# The same rule as for the `tenant` field of an event: it stands in URLs, file names and CSV columns.
TENANT_KEY = RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z", "letters, digits and . _ : - (at most 64)")


class Tenant(models.Model):
    """A customer. Other packages name it by `key`, never by this row's id."""

    key = models.CharField(max_length=64, unique=True, validators=[TENANT_KEY])
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3, default="USD", validators=[CURRENCY])
    is_demo = models.BooleanField(default=False)
    # At most this many events per second, over all of the tenant's keys; None: the setting's default.
    ingest_events_per_s = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("key",)

    def __str__(self) -> str:
        return self.key


class ApiKey(models.Model):
    """A credential. Only a hash of the secret is kept; `prefix` finds the row, `digest` proves the secret.

    `tenant` empty: an operator's key, which may write and read for every tenant.
    """

    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)  # SHA-256, hex: the secret has 256 random bits, so no slow hash is needed
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="api_keys")
    scopes = models.JSONField(default=list)  # e.g. ["ingest", "usage:read"]
    observing = models.BooleanField(default=False)  # what it sends is charted and reconciled, never billed
    label = models.CharField(max_length=200, blank=True)
    ingest_events_per_s = models.PositiveIntegerField(null=True, blank=True)  # None: the setting's default
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"tw_{self.prefix}..."


class Membership(models.Model):
    """What a person who logs in may see. A customer sees one tenant, the others see the whole provider."""

    class Role(models.TextChoices):
        OPERATOR = "operator"
        FINANCE = "finance"
        CUSTOMER = "customer"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="membership")
    role = models.CharField(max_length=16, choices=Role.choices)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="memberships")

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="customer_has_exactly_one_tenant",
                condition=models.Q(role="customer", tenant__isnull=False)
                | (~models.Q(role="customer") & models.Q(tenant__isnull=True)),
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class IngestHost(models.Model):
    """What a host that accepts events has published: everything it stamped before `settled_before` is inserted."""

    name = models.CharField(max_length=200, unique=True)
    settled_before = models.DateTimeField()
    published_at = models.DateTimeField()
    pending_files = models.PositiveIntegerField(default=0)
    pending_bytes = models.PositiveBigIntegerField(default=0)
    oldest_pending_at = models.DateTimeField(null=True, blank=True)  # arrival of the oldest batch that waits
    kept_bytes = models.PositiveBigIntegerField(default=0)  # inserted, kept until sealed
    spool_max_bytes = models.PositiveBigIntegerField(default=0)
    retired_at = models.DateTimeField(null=True, blank=True)  # set by an operator for a host that will not come back

    def __str__(self) -> str:
        return self.name


class Seal(models.Model):
    """One step of the append-only usage ledger: the events with `previous watermark <= ingested_at < watermark`.

    The id is claimed here before a row is written to ClickHouse. Readers use completed seals only, so the rows of a
    crashed attempt (left CLAIMED, then marked ABANDONED by the next) never count.
    """

    class State(models.TextChoices):
        CLAIMED = "claimed"
        COMPLETED = "completed"
        ABANDONED = "abandoned"

    watermark_from = models.DateTimeField()
    watermark = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.CLAIMED)
    events = models.PositiveBigIntegerField(default=0)
    duplicates = models.PositiveBigIntegerField(default=0)
    conflicts = models.PositiveBigIntegerField(default=0)
    # Events whose bucket an earlier seal had closed already: adjustments to what was sealed.
    late = models.PositiveBigIntegerField(default=0)
    # When the duplicates of this seal were taken out of the live rollups again.
    corrected_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=["state", "-id"], name="seal_by_state"),)

    def __str__(self) -> str:
        return f"seal {self.pk} up to {self.watermark:%Y-%m-%dT%H:%M:%S.%fZ} ({self.state})"


class Meter(models.Model):
    """Usage that is not a request (GPU-hours, storage, fine-tuning tokens): which events it reads and how it adds them up.

    Paths are JSONPath of plain names (`$.gpu.hours`), as OpenMeter has them.
    """

    class Aggregation(models.TextChoices):
        SUM = "SUM"
        COUNT = "COUNT"
        MAX = "MAX"
        MIN = "MIN"
        UNIQUE_COUNT = "UNIQUE_COUNT"
        LATEST = "LATEST"

    slug = models.SlugField(max_length=63, unique=True)
    description = models.CharField(max_length=1000, blank=True)
    event_type = models.CharField(max_length=128)
    aggregation = models.CharField(max_length=16, choices=Aggregation.choices)
    value_path = models.CharField(max_length=256, blank=True)  # empty for COUNT alone
    group_by = models.JSONField(default=dict)  # {"gpu_type": "$.gpu.type"}
    unit = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug


class QuarantineDecision(models.Model):
    """What was done about one entry of quarantine. An entry without a decision is open."""

    class Action(models.TextChoices):
        REPLAYED = "replayed"
        DISCARDED = "discarded"

    # The entry, as ClickHouse has it: its key, and what open entries are counted and filtered by.
    batch = models.UUIDField()
    row = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=64)
    ingested_at = models.DateTimeField()
    tenant = models.CharField(max_length=64, blank=True)
    api_key = models.CharField(max_length=64, blank=True)
    decoder = models.CharField(max_length=64, blank=True)

    action = models.CharField(max_length=16, choices=Action.choices)
    decided_by = models.CharField(max_length=200)  # a user's name, or the prefix of an API key
    decided_at = models.DateTimeField(auto_now_add=True)
    note = models.CharField(max_length=1000, blank=True)
    edited = models.BooleanField(default=False)  # replayed with other bytes than it came with
    replay_batch = models.UUIDField(null=True, blank=True)  # the batch that it became

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["batch", "row", "reason"], name="one_decision_per_quarantine_entry"),
        )
        indexes = (models.Index(fields=["-ingested_at"], name="decision_by_arrival"),)

    def __str__(self) -> str:
        return f"{self.batch}/{self.row} {self.action}"


class TelemetryProgress(models.Model):
    """How far one step of telemetry processing has come; see metering/telemetry/progress.py."""

    name = models.CharField(max_length=64, unique=True)
    watermark = models.DateTimeField()  # everything that arrived before it has been looked at
    closed_until = models.DateTimeField()  # every minute before it is worked up, or in `due`
    due = models.JSONField(default=list)  # [start, end) in epoch seconds, the oldest first
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.name}: closed until {self.closed_until:%Y-%m-%dT%H:%MZ}"
