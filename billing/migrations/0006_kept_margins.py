from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_the_record_is_kept")]

    operations = [
        migrations.CreateModel(
            name="KeptMargin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("start", models.DateTimeField(unique=True)),
                ("end", models.DateTimeField()),
                ("kept_at", models.DateTimeField()),
                ("basis", models.CharField(max_length=64)),
                ("by_tenant", models.JSONField()),
                ("by_model", models.JSONField()),
            ],
        ),
    ]
