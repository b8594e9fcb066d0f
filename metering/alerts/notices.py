"""Notices: written with the transitions that they tell of, then delivered until the channel takes them or a third of a day has passed."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F
from django.utils import timezone

from metering.alerts import sending
from metering.alerts.wording import in_words
from metering.models import AlertChannel, AlertNotice, AlertRule

logger = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
LEASE = timedelta(minutes=1)  # a worker that dies with a notice in its hands has it tried again after this
MOST_ATTEMPTS = 14  # about eight hours
AT_ONCE = 20


def write(rule: AlertRule, firing: Sequence[str], over: Sequence[str], now: datetime) -> None:
    """One notice for each of the rule's channels, of all that happened in this evaluation. Call it in the transitions' transaction."""
    if not firing and not over:
        return
    said = ", ".join(f"{len(lines)} {word}" for lines, word in ((firing, "firing"), (over, "over")) if lines)
    body = {
        "rule": rule.name,
        "condition": in_words(rule),
        "severity": rule.severity,
        "at": now.isoformat(),
        "firing": list(firing),
        "over": list(over),
        "advice": rule.advice if firing else "",
        "path": f"/operator/alerts/rules/{rule.pk}/",
    }
    subject = f"[{rule.severity if firing else 'over'}] {rule.name}: {said}"[:300]
    channels = rule.channels.filter(enabled=True)
    AlertNotice.objects.bulk_create(
        AlertNotice(channel=one, subject=subject, body=body, made_at=now, due_at=now) for one in channels
    )


def write_test(channel: AlertChannel, by: str) -> AlertNotice:
    now = timezone.now()
    body = {
        "rule": "Test of a channel",
        "condition": f"{by} asked for it",
        "severity": "ticket",
        "at": now.isoformat(),
        "firing": [],
        "over": [],
        "advice": "Nothing is wrong: this only shows that notices arrive.",
        "path": "/operator/alerts/",
    }
    subject = "Tallywatt: test of a channel"
    return AlertNotice.objects.create(
        channel=channel, subject=subject, body=body, is_test=True, made_at=now, due_at=now + LEASE
    )


def deliver_due(now: datetime | None = None) -> int:
    """Try what is due. Each is claimed before it is sent, so that of several workers one sends it. Returns how many were delivered."""
    moment = now or timezone.now()
    done, failing = 0, set[int]()
    for _ in range(AT_ONCE):
        # A channel that does not answer must not keep the others waiting for each of its notices.
        due = AlertNotice.objects.filter(due_at__lte=moment).exclude(channel__in=failing).select_related("channel")
        notice = due.order_by("due_at", "pk").first()
        if notice is None:
            break
        if not _claim(notice, moment):
            continue
        if deliver(notice, moment):
            done += 1
        else:
            failing.add(notice.channel_id)
    return done


def _claim(notice: AlertNotice, now: datetime) -> bool:
    held = AlertNotice.objects.filter(pk=notice.pk, due_at=notice.due_at, attempts=notice.attempts)
    return held.update(due_at=now + LEASE, attempts=F("attempts") + 1) == 1


def deliver(notice: AlertNotice, now: datetime) -> bool:
    """One attempt at a notice that is claimed; what came of it is kept in the row."""
    notice.attempts += 1
    try:
        sending.send(notice)
    except Exception as error:
        # Whatever stood in the way (a name that is not found, a mail server's refusal, a time-out): it is tried again.
        wait = min(FIRST_WAIT * 2 ** (notice.attempts - 1), LONGEST_WAIT)
        given_up = notice.attempts >= MOST_ATTEMPTS or notice.is_test
        notice.due_at = None if given_up else now + wait
        notice.failure = f"{type(error).__name__}: {error}"[:300]
        logger.warning("notice %s to %s failed (attempt %s): %s", notice.pk, notice.channel, notice.attempts, error)
        notice.save()
        return False
    notice.due_at, notice.delivered_at, notice.failure = None, now, ""
    notice.save()
    return True


def try_again(identity: int, now: datetime) -> bool:
    """Put a notice that was given up, or that waits, on its way again at once. False if it was delivered."""
    found = AlertNotice.objects.filter(pk=identity, delivered_at=None)
    return bool(found.update(due_at=now, attempts=0))


def state_of(notice: AlertNotice) -> str:
    """'delivered', 'waiting' or 'given up'."""
    if notice.delivered_at:
        return "delivered"
    return "waiting" if notice.due_at else "given up"
