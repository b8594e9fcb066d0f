from decimal import Decimal

import django.core.validators
import django.utils.timezone
from django.db import migrations, models

import metering.objective_models


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_energy")]

    operations = [
        migrations.CreateModel(
            name="Objective",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        max_length=80,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\x00-\\x1f\\x7f]{1,80}\\Z", "1 to 80 characters, no control characters"
                            )
                        ],
                    ),
                ),
                ("region", models.CharField(blank=True, max_length=200)),
                ("cluster", models.CharField(blank=True, max_length=200)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("tenant", models.CharField(blank=True, max_length=64)),
                ("tier", models.CharField(blank=True, max_length=200)),
                (
                    "measure",
                    models.CharField(
                        choices=[
                            ("ttft_ms", "time to first token"),
                            ("tpot_ms", "time per output token"),
                            ("e2e_ms", "end to end"),
                            ("error", "availability"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "threshold_ms",
                    models.DecimalField(
                        blank=True,
                        decimal_places=3,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(Decimal("0.001"))],
                    ),
                ),
                (
                    "target",
                    models.DecimalField(
                        decimal_places=6,
                        max_digits=8,
                        validators=[
                            django.core.validators.MinValueValidator(Decimal("0.5")),
                            django.core.validators.MaxValueValidator(Decimal("0.999999")),
                        ],
                    ),
                ),
                (
                    "window_days",
                    models.PositiveSmallIntegerField(
                        default=30,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(90),
                        ],
                    ),
                ),
                (
                    "counts",
                    models.PositiveBigIntegerField(
                        default=metering.objective_models.new_counts, editable=False, unique=True
                    ),
                ),
                ("counted_from", models.DateTimeField(editable=False, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={"ordering": ("name",)},
        ),
        migrations.CreateModel(
            name="ObjectiveProgress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("watermark", models.DateTimeField()),
                ("closed_until", models.DateTimeField()),
                ("seal", models.PositiveBigIntegerField(default=0)),
                ("due", models.JSONField(default=list)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.AddConstraint(
            model_name="objective",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("measure", "error"), ("threshold_ms__isnull", True)
                ) | models.Q(models.Q(("measure", "error"), _negated=True), ("threshold_ms__gt", 0)),
                name="objective_has_a_threshold_of_latency",
            ),
        ),
    ]
