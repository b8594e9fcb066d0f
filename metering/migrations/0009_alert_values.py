from typing import Any

from django.db import migrations, models

MORE = (
    {
        "name": "Error budget burns slowly",
        "measure": "budget_burn",
        "kind": "burn",
        "window": "6h",
        "threshold": 6,
        "for_minutes": 2,
        "group_by": "objective",
        "advice": "At this rate a month's budget is gone in five days: the latency page shows which requests.",
    },
    {
        "name": "A database does not answer",
        "measure": "servers_down",
        "threshold": 0,
        "for_minutes": 2,
        "group_by": "server",
        "severity": "page",
        "advice": "/readyz says which. Events are still taken and kept in the spool while there is room.",
    },
    {
        "name": "The spool fills up",
        "measure": "spool_fill",
        "threshold": 0.5,
        "clear": 0.2,
        "for_minutes": 5,
        "severity": "page",
        "advice": "What is accepted is not inserted: are the workers running, and does ClickHouse answer?",
    },
    {
        "name": "Usage is not sealed",
        "measure": "seal_age_s",
        "threshold": 7200,
        "clear": 3600,
        "for_minutes": 5,
        "advice": "The ingest page says which host holds the seal.",
    },
    {
        "name": "Events are rejected",
        "measure": "rejected_share",
        "threshold": 0.05,
        "clear": 0.01,
        "for_minutes": 10,
        "advice": "The quarantine lists them with their reasons; they can be fixed and replayed.",
    },
    {
        "name": "Tokens leak",
        "measure": "leakage_share",
        "threshold": 0.01,
        "for_minutes": 0,
        "group_by": "engine",
        "advice": "The leakage page says which engine's tokens no event accounts for.",
    },
    {
        "name": "Rules that cannot be read",
        "measure": "rules_unread",
        "threshold": 0,
        "for_minutes": 5,
        "severity": "page",
        "advice": "Until they can be read again, these rules say nothing: their pages have the reason.",
    },
)


def ship(apps: Any, schema_editor: Any) -> None:
    rules = apps.get_model("metering", "AlertRule")
    shipped = rules.objects.filter(measure="budget_burn", kind="threshold")
    shipped.update(kind="burn", window="1h", clear=None)
    for each in MORE:
        rules.objects.get_or_create(name=each["name"], defaults=each | {"shipped": True})


class Migration(migrations.Migration):
    dependencies = [("metering", "0008_capacity")]

    operations = [
        migrations.AddField("alertrule", "node", models.CharField(blank=True, max_length=200, default=""), False),
        migrations.AddField("alertrule", "engine", models.CharField(blank=True, max_length=200, default=""), False),
        migrations.AddField("alertrule", "objective", models.CharField(blank=True, max_length=200, default=""), False),
        migrations.AddField("alertrule", "values", models.JSONField(default=list, editable=False)),
        migrations.AddField("alertrule", "recent", models.JSONField(default=list, editable=False)),
        migrations.AddField(
            "alertrule",
            "window",
            models.CharField(
                blank=True,
                choices=[
                    ("1h", "an hour, and five minutes"),
                    ("6h", "six hours, and half an hour"),
                    ("3d", "three days, and six hours"),
                ],
                max_length=4,
                default="",
            ),
            False,
        ),
        migrations.AlterField(
            "alertrule",
            "kind",
            models.CharField(
                choices=[("threshold", "Threshold"), ("absence", "Absence"), ("burn", "Burn")],
                default="threshold",
                max_length=16,
            ),
        ),
        migrations.AddField("alertstate", "told_at", models.DateTimeField(null=True)),
        migrations.AlterField(
            "alertevent",
            "kind",
            models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("calmed", "Calmed"),
                    ("fired", "Fired"),
                    ("resolved", "Resolved"),
                    ("acknowledged", "Acknowledged"),
                    ("silenced", "Silenced"),
                    ("changed", "Changed"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="AlertSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("series", models.CharField(max_length=300)),
                ("group", models.CharField(blank=True, max_length=300)),
                ("at", models.DateTimeField()),
                ("value", models.FloatField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["series", "at"], name="alert_sample_of"),
                    models.Index(fields=["at"], name="alert_sample_at"),
                ],
            },
        ),
        migrations.RunPython(ship, migrations.RunPython.noop),
    ]
