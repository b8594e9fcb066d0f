from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0006_alerts")]

    operations = [
        migrations.CreateModel(
            name="EnergyDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(unique=True)),
                ("version", models.PositiveBigIntegerField(default=0)),
                ("bands", models.CharField(blank=True, max_length=80)),
                ("changed_at", models.DateTimeField()),
            ],
            options={"ordering": ("day",)},
        ),
    ]
