"""What is kept of the exchange with Stripe. Its API is spoken to in `billing/stripe_gateway.py` alone."""

from django.db import models

from billing.models.base import AppendOnly, money
from billing.models.invoices import Invoice


class StripeInstallation(models.Model):
    """What tells our objects at Stripe from those of another installation with the same invoice numbers: in every key and metadata."""

    token = models.CharField(max_length=32, unique=True)

    def __str__(self) -> str:
        return self.token


class StripeEvent(models.Model):
    """A webhook as it came, stored before anything is done about it. The id makes a second delivery the same event."""

    class State(models.TextChoices):
        RECEIVED = "received"
        PROCESSED = "processed"
        IGNORED = "ignored"  # of a type or an object that is not ours
        FAILED = "failed"  # tried again by the schedule

    stripe_id = models.CharField(max_length=64, unique=True)
    type = models.CharField(max_length=100)
    created = models.DateTimeField()  # Stripe's own clock
    payload = models.TextField()  # the bytes that were signed
    received_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED, db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    processed_at = models.DateTimeField(null=True, blank=True)  # when it was tried last

    def __str__(self) -> str:
        return f"{self.stripe_id} {self.type}"


class StripeObject(models.Model):
    """Which of Stripe's objects stands for one of ours. `version`: the newest event's moment, or that of a read, that was applied."""

    kind = models.CharField(max_length=24)  # customer, invoice, payment_intent, refund, credit_note, meter_event
    ours = models.CharField(max_length=160)  # the tenant's key, the invoice's number, the refund's reference, ...
    stripe_id = models.CharField(max_length=128, unique=True)
    status = models.CharField(max_length=48, blank=True)  # of a customer: a digest of what Stripe was told
    version = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["kind", "ours"], name="one_stripe_object_per_object"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.ours}: {self.stripe_id}"


class StripeTask(models.Model):
    """Something that Stripe is to be told, once. Written in the transaction that makes it necessary, tried by workers until it is done."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        REFUSED = "refused"  # Stripe's answer will not change: a person must look

    action = models.CharField(max_length=32)  # collect, refund, credit_note, void, push_usage, ...
    ours = models.CharField(max_length=160)
    attempt = models.PositiveSmallIntegerField(default=0)  # a new one after a decline: part of the idempotency key
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING, db_index=True)
    detail = models.JSONField(default=dict, blank=True)
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True, blank=True)  # a worker is at it
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["action", "ours", "attempt"], name="one_stripe_task_per_attempt"),
        )
        indexes = (
            models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="stripe_task_due"),
            models.Index(fields=["leased_until"], condition=models.Q(state="waiting"), name="stripe_task_leased"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.ours} ({self.state})"


class StripeUsageStart(AppendOnly):
    """The hour from which on a tenant's usage is Stripe's to bill: what lies before it is on invoices of ours."""

    tenant = models.CharField(max_length=64, unique=True)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.tenant} since {self.since}"


class StripeUsagePush(AppendOnly):
    """Usage of one meter and hour that Stripe is given, with a task that brings it. Late usage makes another row, never a change."""

    tenant = models.CharField(max_length=64)
    meter = models.CharField(max_length=100)  # Stripe's event name
    hour = models.DateTimeField()
    seal = models.PositiveBigIntegerField()
    value = models.DecimalField(max_digits=38, decimal_places=12)
    identifier = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = (models.Index(fields=["tenant", "hour"], name="stripe_usage_by_hour"),)

    def __str__(self) -> str:
        return f"{self.meter} {self.hour}: {self.value}"


class StripeDifference(models.Model):
    """What the nightly comparison found: one of ours and Stripe's that do not agree. Closed when they do again."""

    kind = models.CharField(max_length=32)
    ours = models.CharField(max_length=160)
    invoice = models.ForeignKey(
        Invoice, null=True, blank=True, on_delete=models.PROTECT, related_name="stripe_differences"
    )
    field = models.CharField(max_length=64)
    our_value = models.CharField(max_length=200, blank=True)
    stripe_value = models.CharField(max_length=200, blank=True)
    amount = money(null=True, blank=True)
    found_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(auto_now=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.ours} {self.field}: {self.our_value} here, {self.stripe_value} there"
