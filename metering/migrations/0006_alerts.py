from typing import Any

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


# A start that every provider can use: none of them sends anything before an operator gives it a channel.
SHIPPED = (
    {
        "name": "No events arrive",
        "measure": "event_age_s",
        "kind": "threshold",
        "threshold": 120,
        "for_minutes": 1,
        "severity": "page",
        "advice": "The ingest page says which host is silent and whether the spool grows.",
    },
    {
        "name": "Errors of a model",
        "measure": "error_ratio",
        "threshold": 0.05,
        "clear": 0.02,
        "for_minutes": 5,
        "group_by": "model",
        "severity": "page",
        "advice": "See whether a deploy lies before it, and which engines answer.",
    },
    {
        "name": "A model is at its limit",
        "measure": "bound_share",
        "threshold": 0.5,
        "clear": 0.2,
        "for_minutes": 5,
        "group_by": "model",
        "severity": "page",
        "advice": "The overview says which limit and whose load; the capacity page what would help.",
    },
    {
        "name": "Engines do not answer",
        "measure": "engine_up",
        "direction": "below",
        "threshold": 0.5,
        "clear": 0.9,
        "for_minutes": 2,
        "group_by": "engine",
        "severity": "page",
        "advice": "On the node, tallywatt-agent --once --print says what the agent sees.",
    },
    {
        "name": "GPUs report no more",
        "measure": "power_w",
        "kind": "absence",
        "for_minutes": 5,
        "group_by": "node",
        "severity": "page",
        "advice": "Is the node up, and its agent running?",
    },
    {
        "name": "Hot GPUs",
        "measure": "temperature_c",
        "threshold": 87,
        "clear": 83,
        "for_minutes": 5,
        "group_by": "node",
        "advice": "Look at the cooling of the node.",
    },
    {
        "name": "XID errors",
        "measure": "xid_errors",
        "threshold": 0,
        "for_minutes": 0,
        "group_by": "node",
        "advice": "NVIDIA's list of XID errors says which of them ask for a reset or a new board.",
    },
    {
        "name": "Error budget burns",
        "measure": "budget_burn",
        "threshold": 14.4,
        "clear": 6,
        "for_minutes": 2,
        "group_by": "objective",
        "severity": "page",
        "advice": "At this rate a month's budget is gone in two days: the latency page shows which requests.",
    },
)


def ship(apps: Any, schema_editor: Any) -> None:
    rules = apps.get_model("metering", "AlertRule")
    for each in SHIPPED:
        rules.objects.get_or_create(name=each["name"], defaults=each | {"shipped": True})


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0005_objectives"),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertChannel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        max_length=80,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\x00-\\x1f\\x7f]+\\Z", "one line of text without control characters"
                            )
                        ],
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("email", "e-mail"),
                            ("slack", "Slack-compatible webhook"),
                            ("webhook", "webhook with JSON"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "target",
                    models.CharField(
                        max_length=500,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\x00-\\x1f\\x7f]+\\Z", "one line of text without control characters"
                            )
                        ],
                    ),
                ),
                ("secret", models.CharField(blank=True, max_length=200)),
                ("enabled", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="AlertRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        max_length=80,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\x00-\\x1f\\x7f]+\\Z", "one line of text without control characters"
                            )
                        ],
                    ),
                ),
                ("measure", models.CharField(max_length=40)),
                (
                    "kind",
                    models.CharField(
                        choices=[("threshold", "Threshold"), ("absence", "Absence")], default="threshold", max_length=16
                    ),
                ),
                (
                    "direction",
                    models.CharField(choices=[("above", "Above"), ("below", "Below")], default="above", max_length=8),
                ),
                ("threshold", models.FloatField(blank=True, null=True)),
                ("clear", models.FloatField(blank=True, null=True)),
                (
                    "for_minutes",
                    models.PositiveSmallIntegerField(
                        default=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(1440),
                        ],
                    ),
                ),
                ("group_by", models.CharField(blank=True, max_length=16)),
                ("region", models.CharField(blank=True, max_length=200)),
                ("cluster", models.CharField(blank=True, max_length=200)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("tenant", models.CharField(blank=True, max_length=64)),
                ("tier", models.CharField(blank=True, max_length=200)),
                (
                    "severity",
                    models.CharField(
                        choices=[("page", "wake somebody"), ("ticket", "look at it in the day")],
                        default="ticket",
                        max_length=8,
                    ),
                ),
                ("advice", models.CharField(blank=True, max_length=300)),
                ("enabled", models.BooleanField(default=True)),
                ("shipped", models.BooleanField(default=False, editable=False)),
                ("changed_by", models.CharField(blank=True, editable=False, max_length=200)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                ("evaluated_at", models.DateTimeField(editable=False, null=True)),
                ("trouble", models.CharField(blank=True, editable=False, max_length=300)),
                ("channels", models.ManyToManyField(blank=True, related_name="rules", to="metering.alertchannel")),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="AlertSilence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("matching", models.CharField(blank=True, max_length=300)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                (
                    "reason",
                    models.CharField(
                        max_length=300,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\x00-\\x1f\\x7f]+\\Z", "one line of text without control characters"
                            )
                        ],
                    ),
                ),
                ("made_by", models.CharField(max_length=200)),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "rule",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="silences",
                        to="metering.alertrule",
                    ),
                ),
            ],
            options={
                "ordering": ("-ends_at",),
            },
        ),
        migrations.CreateModel(
            name="Annotation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("deploy", "Deploy"), ("maintenance", "Maintenance"), ("note", "Note")], max_length=16
                    ),
                ),
                (
                    "text",
                    models.CharField(
                        max_length=300,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\x00-\\x1f\\x7f]+\\Z", "one line of text without control characters"
                            )
                        ],
                    ),
                ),
                ("at", models.DateTimeField()),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("link", models.URLField(blank=True, max_length=500)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("region", models.CharField(blank=True, max_length=200)),
                ("cluster", models.CharField(blank=True, max_length=200)),
                ("made_by", models.CharField(max_length=200)),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("withdrawn_at", models.DateTimeField(editable=False, null=True)),
                ("withdrawn_by", models.CharField(blank=True, editable=False, max_length=200)),
            ],
            options={
                "ordering": ("-at", "-id"),
                "indexes": [models.Index(fields=["at"], name="annotation_at")],
            },
        ),
        migrations.CreateModel(
            name="AlertNotice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=300)),
                ("body", models.JSONField()),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("delivered_at", models.DateTimeField(null=True)),
                ("failure", models.CharField(blank=True, max_length=300)),
                ("is_test", models.BooleanField(default=False)),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="notices", to="metering.alertchannel"
                    ),
                ),
            ],
            options={
                "ordering": ("-made_at", "-id"),
                "indexes": [models.Index(fields=["due_at"], name="alert_notice_due")],
            },
        ),
        migrations.CreateModel(
            name="AlertEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rule_name", models.CharField(max_length=80)),
                ("group", models.CharField(blank=True, max_length=300)),
                (
                    "kind",
                    models.CharField(
                        choices=[("fired", "Fired"), ("resolved", "Resolved"), ("acknowledged", "Acknowledged")],
                        max_length=16,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("value", models.FloatField(null=True)),
                ("text", models.CharField(max_length=500)),
                ("silenced", models.BooleanField(default=False)),
                (
                    "rule",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="events",
                        to="metering.alertrule",
                    ),
                ),
            ],
            options={
                "ordering": ("-at", "-id"),
                "indexes": [
                    models.Index(fields=["-at"], name="alert_event_at"),
                    models.Index(fields=["rule", "group", "at"], name="alert_event_of"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("group", models.CharField(blank=True, max_length=300)),
                ("state", models.CharField(choices=[("pending", "Pending"), ("firing", "Firing")], max_length=8)),
                ("since", models.DateTimeField()),
                ("fired_at", models.DateTimeField(null=True)),
                ("value", models.FloatField(null=True)),
                ("seen_at", models.DateTimeField()),
                ("acknowledged_by", models.CharField(blank=True, max_length=200)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                (
                    "rule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="states", to="metering.alertrule"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("rule", "group"), name="one_alert_state_a_group")],
            },
        ),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
