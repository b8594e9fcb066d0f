from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('metering', '0002_ingest'),
    ]

    operations = [
        migrations.CreateModel(
            name='TelemetryProgress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('watermark', models.DateTimeField()),
                ('closed_until', models.DateTimeField()),
                ('due', models.JSONField(default=list)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
        ),
    ]
