"""Times in which nobody is told."""

from collections.abc import Callable
from datetime import datetime

from django.db.models import Q

from metering.models import AlertRule, AlertSilence


def silencer(rule: AlertRule, now: datetime) -> Callable[[str], bool]:
    """Whether a group of the rule is silenced now; read once for all of them."""
    held = AlertSilence.objects.filter(Q(rule=None) | Q(rule=rule), starts_at__lte=now, ends_at__gt=now)
    words = [one.matching.lower() for one in held]
    return lambda group: any(word in group.lower() for word in words)
