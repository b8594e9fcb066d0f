from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0007_energy_days")]

    operations = [
        migrations.CreateModel(
            name="DemandForecast",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("region", models.CharField(blank=True, max_length=200)),
                ("cluster", models.CharField(blank=True, max_length=200)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("tenant", models.CharField(blank=True, max_length=200)),
                ("tier", models.CharField(blank=True, max_length=200)),
                ("asked_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("made_at", models.DateTimeField(null=True)),
                ("found", models.JSONField(default=dict)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("region", "cluster", "model", "tenant", "tier"), name="one_forecast_of_a_scope"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FleetCapacity",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=16, unique=True)),
                ("asked_at", models.DateTimeField()),
                ("made_at", models.DateTimeField(null=True)),
                ("found", models.JSONField(default=dict)),
            ],
        ),
    ]
