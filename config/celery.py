"""The Celery application. The broker carries references only; what must not be lost is on disk (see metering/ingest)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tallywatt")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["metering", "metering.ingest", "billing"])
app.autodiscover_tasks(["billing"], related_name="stripe_jobs")
app.autodiscover_tasks(["billing"], related_name="price_tasks")
app.autodiscover_tasks(["billing"], related_name="credit_tasks")
