"""How far a demo's traffic has come: right after its start the last hours are still being made."""

from datetime import datetime, timedelta

from django.conf import settings

from metering.demo import state

# Live traffic says every ten seconds how far it is, and what catches up stops two minutes short.
BEHIND = timedelta(minutes=3)


def demo_behind(now: datetime) -> datetime | None:
    """Up to when all traffic has been sent, where that is not about now. None as well where no demo was seeded."""
    demo = state.load(settings.DATA_DIR)
    return demo.covered_until if demo and now - demo.covered_until > BEHIND else None
