"""Metering. Importing it costs nothing: `metering.agent` runs where neither Django nor Celery is installed."""
