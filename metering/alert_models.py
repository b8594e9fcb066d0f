"""What an operator is told without looking: rules, what they found and when, silences, channels, and what is on its way to them. And what
happened on purpose: annotations, such as deploys."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

LINE = RegexValidator(r"\A[^\x00-\x1f\x7f]+\Z", "one line of text without control characters")
LONGEST_FOR_MINUTES = 1440


class Annotation(models.Model):
    """Something that happened at `at`, or from `at` to `until`. Scope: '' is everything. One that was wrong is withdrawn, not deleted."""

    class Kind(models.TextChoices):
        DEPLOY = "deploy"
        MAINTENANCE = "maintenance"
        NOTE = "note"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    text = models.CharField(max_length=300, validators=[LINE])
    at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    link = models.URLField(max_length=500, blank=True)
    model = models.CharField(max_length=200, blank=True)
    region = models.CharField(max_length=200, blank=True)
    cluster = models.CharField(max_length=200, blank=True)
    made_by = models.CharField(max_length=200)
    made_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, editable=False)
    withdrawn_by = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=("at",), name="annotation_at"),)

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class AlertChannel(models.Model):
    """Where notices go. `secret` signs what a webhook gets; no page shows it again."""

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        SLACK = "slack", "Slack-compatible webhook"
        WEBHOOK = "webhook", "webhook with JSON"

    name = models.CharField(max_length=80, unique=True, validators=[LINE])
    kind = models.CharField(max_length=16, choices=Kind.choices)
    target = models.CharField(max_length=500, validators=[LINE])
    secret = models.CharField(max_length=200, blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """`measure` is a key of metering.alerts.catalogue. Of kind threshold it fires once the value has been beyond `threshold` for
    `for_minutes`, and clears at `clear` (the threshold itself if None). Of kind absence it fires once there has been no value for so
    long. Of kind burn it fires once an objective's error budget burns faster than `threshold` over both the long window, `window`,
    and the short one that goes with it."""

    class Kind(models.TextChoices):
        THRESHOLD = "threshold"
        ABSENCE = "absence"
        BURN = "burn"

    class Window(models.TextChoices):
        HOUR = "1h", "an hour, and five minutes"
        QUARTER_DAY = "6h", "six hours, and half an hour"
        THREE_DAYS = "3d", "three days, and six hours"

    class Direction(models.TextChoices):
        ABOVE = "above"
        BELOW = "below"

    class Severity(models.TextChoices):
        PAGE = "page", "wake somebody"
        TICKET = "ticket", "look at it in the day"

    name = models.CharField(max_length=80, unique=True, validators=[LINE])
    measure = models.CharField(max_length=40)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.THRESHOLD)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.ABOVE)
    threshold = models.FloatField(null=True, blank=True)
    clear = models.FloatField(null=True, blank=True)
    for_minutes = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(0), MaxValueValidator(LONGEST_FOR_MINUTES)]
    )
    window = models.CharField(max_length=4, choices=Window.choices, blank=True)
    group_by = models.CharField(max_length=16, blank=True)
    region = models.CharField(max_length=200, blank=True)
    cluster = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200, blank=True)
    tenant = models.CharField(max_length=64, blank=True)
    tier = models.CharField(max_length=200, blank=True)
    node = models.CharField(max_length=200, blank=True)
    engine = models.CharField(max_length=200, blank=True)
    objective = models.CharField(max_length=200, blank=True)
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.TICKET)
    advice = models.CharField(max_length=300, blank=True)
    channels = models.ManyToManyField(AlertChannel, blank=True, related_name="rules")
    enabled = models.BooleanField(default=True)
    shipped = models.BooleanField(default=False, editable=False)
    changed_by = models.CharField(max_length=200, blank=True, editable=False)
    changed_at = models.DateTimeField(auto_now=True)
    # What the last evaluation said of the rule itself; '' if it went well.
    evaluated_at = models.DateTimeField(null=True, editable=False)
    trouble = models.CharField(max_length=300, blank=True, editable=False)
    # What it found: the value of each group, the worst first, and for an hour of minutes [epoch s, the worst value].
    values = models.JSONField(default=list, editable=False)
    recent = models.JSONField(default=list, editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AlertState(models.Model):
    """One group of a rule that is pending or firing now. A group that is well has no row."""

    class State(models.TextChoices):
        PENDING = "pending"
        FIRING = "firing"

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="states")
    group = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=8, choices=State.choices)
    since = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)
    value = models.FloatField(null=True)
    seen_at = models.DateTimeField()
    # When channels were told that it fires; None while a silence keeps that back.
    told_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledged_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("rule", "group"), name="one_alert_state_a_group"),)

    def __str__(self) -> str:
        return f"{self.group} {self.state}"


class AlertEvent(models.Model):
    """A transition, or what an operator did. Rows are only ever added; `rule_name` outlives the rule. `calmed`: what was pending never
    fired."""

    class Kind(models.TextChoices):
        PENDING = "pending"
        CALMED = "calmed"
        FIRED = "fired"
        RESOLVED = "resolved"
        ACKNOWLEDGED = "acknowledged"
        SILENCED = "silenced"
        CHANGED = "changed"

    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.SET_NULL, related_name="events")
    rule_name = models.CharField(max_length=80)
    group = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    at = models.DateTimeField()
    value = models.FloatField(null=True)
    text = models.CharField(max_length=500)
    silenced = models.BooleanField(default=False)

    class Meta:
        ordering = ("-at", "-id")
        indexes = (
            models.Index(fields=("-at",), name="alert_event_at"),
            models.Index(fields=("rule", "group", "at"), name="alert_event_of"),
        )

    def __str__(self) -> str:
        return f"{self.rule_name} {self.kind}: {self.text}"


class AlertSample(models.Model):
    """A value that is kept nowhere else, minute by minute for a week and a day. `series`: what was asked for (metering.alerts.samples)."""

    series = models.CharField(max_length=300)
    group = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()
    value = models.FloatField()

    class Meta:
        indexes = (
            models.Index(fields=("series", "at"), name="alert_sample_of"),
            models.Index(fields=("at",), name="alert_sample_at"),
        )

    def __str__(self) -> str:
        return f"{self.series} {self.group} {self.value}"


class AlertSilence(models.Model):
    """No notices while it holds: of one rule or of all, and of the groups whose name has `matching` in it."""

    rule = models.ForeignKey(AlertRule, null=True, blank=True, on_delete=models.CASCADE, related_name="silences")
    matching = models.CharField(max_length=300, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=300, validators=[LINE])
    made_by = models.CharField(max_length=200)
    made_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-ends_at",)

    def __str__(self) -> str:
        return f"until {self.ends_at:%Y-%m-%dT%H:%MZ}: {self.reason}"


class AlertNotice(models.Model):
    """One message to one channel, written with the transitions it tells of. It is tried until it is delivered or given up."""

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="notices")
    subject = models.CharField(max_length=300)
    body = models.JSONField()
    made_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, default=timezone.now)  # None: delivered, or given up
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)
    is_test = models.BooleanField(default=False)

    class Meta:
        ordering = ("-made_at", "-id")
        indexes = (models.Index(fields=("due_at",), name="alert_notice_due"),)

    def __str__(self) -> str:
        return self.subject
