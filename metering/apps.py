from django.apps import AppConfig

# Makes it the process's Celery application: without it, a task sent by the web process would go to a default broker.
from config.celery import app as celery_app

__all__ = ["MeteringConfig", "celery_app"]


class MeteringConfig(AppConfig):
    name = "metering"
    default_auto_field = "django.db.models.BigAutoField"
