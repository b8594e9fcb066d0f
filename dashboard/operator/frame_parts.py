"""What is live in the frame around every page: how many alerts fire, and how far a demo has come that is still being made."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from dashboard.operator.shelf import SHELF
from metering.public import alert_board, demo_behind

FRESH_S = 1.9
# Templates by their place, which is in base.html.
FRAME_PARTS = {"alerts-firing": "operator/_firing.html"}
DEMO_PARTS = {"demo-clock": "_demo_clock.html"}


def frame_parts() -> dict[str, str]:
    return FRAME_PARTS | DEMO_PARTS if settings.DEMO else FRAME_PARTS


def frame_now() -> dict[str, Any]:
    """Variables of the templates."""
    return {"firing_now": firing_now(), "demo_until": demo_until()}


def firing_now() -> int:
    return SHELF.kept("alerts-firing", FRESH_S, alert_board.firing_count)


def demo_until() -> datetime | None:
    """Up to when a demo has traffic, where that is not now."""
    if not settings.DEMO:
        return None
    return SHELF.kept("demo-clock", FRESH_S, lambda: demo_behind(datetime.now(UTC)))
