"""Settings of telemetry, as the values that its pure parts take."""

from django.conf import settings

from metering.telemetry.saturation import Points


def saturation_points() -> Points:
    return Points(**settings.SATURATION_POINTS)
