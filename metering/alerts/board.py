"""What pages show of alerts: frozen values, of what evaluations have written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.db.models import Max

from metering.alerts import notices, values
from metering.alerts.catalogue import CATALOGUE
from metering.alerts.readings.asked import Found
from metering.alerts.silences import silencer
from metering.alerts.wording import amount, in_words
from metering.models import AlertChannel, AlertEvent, AlertNotice, AlertRule, AlertSilence, AlertState

MOST_EVENTS = 200
MOST_SPANS = 2000
STEPS = (AlertEvent.Kind.PENDING, AlertEvent.Kind.CALMED)  # of the history, what only a rule's own page shows


@dataclass(frozen=True)
class RuleInfo:
    """`threshold` and `clear` as they are written, in the measure's unit; so is `recent`, the worst value of each of the last minutes.
    `words`: the condition as a sentence. `values`: of each group, the worst first, with its unit."""

    id: int
    name: str
    measure: str
    unit: str
    kind: str
    direction: str
    threshold: float | None
    clear: float | None
    for_minutes: int
    window: str
    group_by: str
    scope: Mapping[str, str]
    severity: str
    advice: str
    enabled: bool
    shipped: bool
    words: str
    channels: tuple[str, ...]
    pending: int
    firing: int
    values: tuple[tuple[str, str], ...]
    recent: tuple[tuple[datetime, float | None], ...]
    evaluated_at: datetime | None
    trouble: str
    changed_by: str


@dataclass(frozen=True)
class OpenAlert:
    """A group that is pending or firing. `value` with its unit."""

    id: int
    rule: int
    name: str
    group: str
    state: str
    severity: str
    since: datetime
    fired_at: datetime | None
    value: str
    words: str
    advice: str
    acknowledged_by: str
    silenced: bool


@dataclass(frozen=True)
class AlertHappened:
    rule: int | None
    name: str
    kind: str
    group: str
    at: datetime
    text: str
    silenced: bool


@dataclass(frozen=True)
class ChannelInfo:
    """`target` without what may be a secret in its path. `last`: what came of the newest notice."""

    id: int
    name: str
    kind: str
    target: str
    enabled: bool
    signed: bool
    waiting: int
    last: str
    last_at: datetime | None


@dataclass(frozen=True)
class NoticeInfo:
    """`state`: delivered, waiting or given up."""

    id: int
    channel: str
    subject: str
    made_at: datetime
    state: str
    attempts: int
    due_at: datetime | None
    failure: str


@dataclass(frozen=True)
class SilenceInfo:
    id: int
    rule: str
    matching: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    made_by: str


def firing_count() -> int:
    """For the frame of every page: one small query."""
    return AlertState.objects.filter(state=AlertState.State.FIRING).count()


def looked_at() -> datetime | None:
    """When rules were evaluated last; None if never."""
    found: datetime | None = AlertRule.objects.filter(enabled=True).aggregate(at=Max("evaluated_at"))["at"]
    return found


def open_alerts(now: datetime, rule: int | None = None) -> list[OpenAlert]:
    """Firing before pending, what wakes somebody first, the oldest first."""
    rows = AlertState.objects.select_related("rule")
    rows = rows.filter(rule=rule) if rule is not None else rows
    quiet = {row.rule_id: silencer(row.rule, now) for row in rows[:MOST_EVENTS]}
    found = [
        OpenAlert(
            id=row.pk,
            rule=row.rule_id,
            name=row.rule.name,
            group=row.group,
            state=row.state,
            severity=row.rule.severity,
            since=row.since,
            fired_at=row.fired_at,
            value=amount(row.rule, row.value),
            words=in_words(row.rule),
            advice=row.rule.advice,
            acknowledged_by=row.acknowledged_by,
            silenced=quiet[row.rule_id](row.group) if row.rule_id in quiet else False,
        )
        for row in rows[:MOST_EVENTS]
    ]
    return sorted(found, key=lambda one: (one.state != "firing", one.severity != "page", one.since))


def rules() -> list[RuleInfo]:
    return [_rule(row) for row in AlertRule.objects.prefetch_related("channels", "states")]


def rule(identity: int) -> RuleInfo | None:
    row = AlertRule.objects.filter(pk=identity).first()
    return _rule(row) if row else None


def rule_values(identity: int, start: datetime, end: datetime, step: timedelta) -> Found:
    """The measure's values by group over time, as they are stored. Raises what values.UNREADABLE names."""
    row = AlertRule.objects.filter(pk=identity).first()
    return values.history(row, start, end, step) if row else {}


def rule_spans(identity: int, start: datetime, end: datetime) -> dict[str, list[tuple[datetime, datetime | None]]]:
    """When it fired, by group: what lies in `[start, end)` or reaches into it. The last may not be over."""
    kinds = (AlertEvent.Kind.FIRED, AlertEvent.Kind.RESOLVED)
    rows = AlertEvent.objects.filter(rule=identity, kind__in=kinds, at__gte=start - timedelta(days=7), at__lt=end)
    found: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for event in reversed(rows[:MOST_SPANS]):
        held = found.setdefault(event.group, [])
        if event.kind == AlertEvent.Kind.FIRED:
            held.append((event.at, None))
        elif held and held[-1][1] is None:
            held[-1] = (held[-1][0], event.at)
    for state in AlertState.objects.filter(rule=identity, state=AlertState.State.FIRING):
        if state.fired_at and not any(until is None for _, until in found.get(state.group, [])):
            found.setdefault(state.group, []).append((state.fired_at, None))
    within = {group: [one for one in held if one[1] is None or one[1] > start] for group, held in found.items()}
    return {group: held for group, held in within.items() if held}


def happened(limit: int = MOST_EVENTS, rule: int | None = None) -> list[AlertHappened]:
    """The newest first. Of all rules without what was only pending."""
    rows = AlertEvent.objects.exclude(kind__in=STEPS) if rule is None else AlertEvent.objects.filter(rule=rule)
    return [
        AlertHappened(row.rule_id, row.rule_name, row.kind, row.group, row.at, row.text, row.silenced)
        for row in rows[:limit]
    ]


def happened_between(start: datetime, end: datetime, limit: int) -> list[AlertHappened]:
    """Everything, the oldest first."""
    rows = AlertEvent.objects.filter(at__gte=start, at__lt=end).order_by("at", "pk")[:limit]
    return [
        AlertHappened(row.rule_id, row.rule_name, row.kind, row.group, row.at, row.text, row.silenced) for row in rows
    ]


def silences(now: datetime) -> list[SilenceInfo]:
    """Those that hold now or will."""
    rows = AlertSilence.objects.filter(ends_at__gt=now).select_related("rule")
    return [
        SilenceInfo(
            id=row.pk,
            rule=row.rule.name if row.rule else "",
            matching=row.matching,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            reason=row.reason,
            made_by=row.made_by,
        )
        for row in rows
    ]


def channels() -> list[ChannelInfo]:
    return [_channel(row) for row in AlertChannel.objects.all()]


def sent(limit: int) -> list[NoticeInfo]:
    """Notices, the newest first; those that wait or were given up are never left out."""
    rows = AlertNotice.objects.select_related("channel")
    newest = list(rows[:limit])
    stuck = [row for row in rows.filter(delivered_at=None)[:limit] if row not in newest]
    return [
        NoticeInfo(
            id=row.pk,
            channel=row.channel.name,
            subject=row.subject,
            made_at=row.made_at,
            state=notices.state_of(row),
            attempts=row.attempts,
            due_at=row.due_at,
            failure=row.failure,
        )
        for row in [*newest, *stuck]
    ]


def _rule(row: AlertRule) -> RuleInfo:
    states = list(row.states.all())
    found = CATALOGUE.get(row.measure)
    factor = found.factor if found else 1.0
    return RuleInfo(
        id=row.pk,
        name=row.name,
        measure=row.measure,
        unit=found.unit if found else "",
        kind=row.kind,
        direction=row.direction,
        threshold=None if row.threshold is None else row.threshold * factor,
        clear=None if row.clear is None else row.clear * factor,
        for_minutes=row.for_minutes,
        window=row.window,
        group_by=row.group_by,
        scope={name: getattr(row, name) for name in values.SCOPE if getattr(row, name)},
        severity=row.severity,
        advice=row.advice,
        enabled=row.enabled,
        shipped=row.shipped,
        words=in_words(row),
        channels=tuple(channel.name for channel in row.channels.all()),
        pending=sum(state.state == AlertState.State.PENDING for state in states),
        firing=sum(state.state == AlertState.State.FIRING for state in states),
        values=tuple((group, amount(row, value)) for group, value in row.values),
        recent=tuple(
            (datetime.fromtimestamp(at_s, UTC), None if value is None else value * factor) for at_s, value in row.recent
        ),
        evaluated_at=row.evaluated_at,
        trouble=row.trouble,
        changed_by=row.changed_by,
    )


def _channel(row: AlertChannel) -> ChannelInfo:
    newest = AlertNotice.objects.filter(channel=row).first()
    parts = urlsplit(row.target)
    # Slack's addresses are secrets in themselves: the path is not shown again.
    shown = row.target if row.kind == AlertChannel.Kind.EMAIL else f"{parts.scheme}://{parts.hostname}/…"
    return ChannelInfo(
        id=row.pk,
        name=row.name,
        kind=row.kind,
        target=shown,
        enabled=row.enabled,
        signed=bool(row.secret),
        waiting=AlertNotice.objects.filter(channel=row, due_at__isnull=False, delivered_at=None).count(),
        last="" if newest is None else (newest.failure or notices.state_of(newest)),
        last_at=None if newest is None else newest.made_at,
    )
