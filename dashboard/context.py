"""What every page's frame needs."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from dashboard.access import visitor
from dashboard.operator.frame_parts import demo_until


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Template variables of the base template: `is_demo`, up to when it has traffic if that is not now, and who is logged in with
    which role, or None."""
    return {"is_demo": settings.DEMO, "demo_until": demo_until(), "visitor": visitor(request)}
