"""What every page's frame needs."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from dashboard.access import visitor


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Template variables of the base template: `is_demo`, and who is logged in with which role, or None."""
    return {"is_demo": settings.DEMO, "visitor": visitor(request)}
