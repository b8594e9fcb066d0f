"""What happened on purpose or fired: deploys, maintenance, notes and alerts, for the time axes of all pages."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from metering.models import AlertEvent, AlertRule, AlertState, Annotation

KINDS = tuple(Annotation.Kind.values)
ALERT = "alert"
MOST = 500
LONGEST_LOOKED_BACK = timedelta(days=7)  # an alert that began earlier and is over is not found
NAMED = 3  # groups of a rule that one mark names
PARTS = ("model", "region", "cluster")
FURTHEST_AHEAD = timedelta(days=366)


class AnnotationRefused(ValueError):
    """What was said cannot be kept. `field` says which part."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class AnnotationInfo:
    """`[at, until)`; `until` None: a moment, or, if `lasting`, not over yet. Scope: '' is everything. `id` None: an alert."""

    id: int | None
    at: datetime
    until: datetime | None
    kind: str
    text: str
    link: str
    model: str
    region: str
    cluster: str
    made_by: str
    lasting: bool = False


def annotate(
    kind: str,
    text: str,
    *,
    by: str,
    at: datetime | None = None,
    until: datetime | None = None,
    link: str = "",
    model: str = "",
    region: str = "",
    cluster: str = "",
) -> AnnotationInfo:
    """Put down that something happened; `at` is now by default. Raises AnnotationRefused."""
    at = at or timezone.now()
    if until is not None and until <= at:
        raise AnnotationRefused("until", "until is not after at")
    if at > timezone.now() + FURTHEST_AHEAD:
        raise AnnotationRefused("at", "at is more than a year ahead")
    for field, value in (("model", model), ("region", region), ("cluster", cluster)):
        if value and not value.isprintable():
            raise AnnotationRefused(field, f"{field}: one line of text without control characters")
    row = Annotation(
        kind=kind, text=text, at=at, until=until, link=link, model=model, region=region, cluster=cluster, made_by=by
    )
    try:
        row.full_clean()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise AnnotationRefused(field, f"{field}: {messages[0]}") from error
    row.save()
    return _info(row)


def withdraw(identity: int, *, by: str) -> bool:
    """Take one back: it is no longer shown. False if there is none, or it was before."""
    found = Annotation.objects.filter(pk=identity, withdrawn_at=None)
    return bool(found.update(withdrawn_at=timezone.now(), withdrawn_by=by))


def annotations(start: datetime, end: datetime, *, alerts: bool = True) -> tuple[AnnotationInfo, ...]:
    """All that lies in `[start, end)` or reaches into it, the oldest first; of each kind the MOST newest."""
    rows = Annotation.objects.filter(withdrawn_at=None, at__lt=end).filter(Q(at__gte=start) | Q(until__gt=start))[:MOST]
    found = [_info(row) for row in rows]
    if alerts:
        found += _alerts(start, end)
    return tuple(sorted(found, key=lambda one: (one.at, one.kind, one.text)))


def _info(row: Annotation) -> AnnotationInfo:
    named: dict[str, Any] = {
        name: getattr(row, name) for name in ("kind", "text", "link", "model", "region", "cluster")
    }
    return AnnotationInfo(row.pk, row.at, row.until, **named, made_by=row.made_by)


def _alerts(start: datetime, end: datetime) -> list[AnnotationInfo]:
    """From the history: each firing with its end, and those that fire still."""
    firing = AlertState.objects.filter(state=AlertState.State.FIRING, fired_at__lt=end).select_related("rule")[:MOST]
    found = [
        _alert(state.fired_at, None, state.rule.name, state.group, state.rule)
        for state in firing
        if state.fired_at is not None
    ]
    kinds = (AlertEvent.Kind.FIRED, AlertEvent.Kind.RESOLVED)
    events = AlertEvent.objects.filter(kind__in=kinds, at__gte=start - LONGEST_LOOKED_BACK, at__lt=end)
    spans = _spans(events.select_related("rule")[: 4 * MOST])
    return _merged(found + [one for one in spans if one.until is not None and one.until > start])


def _spans(events: Iterable[AlertEvent]) -> list[AnnotationInfo]:
    begun: dict[tuple[str, str], datetime] = {}
    found = []
    for event in sorted(events, key=lambda one: (one.at, one.pk)):
        key = event.rule_name, event.group
        if event.kind == AlertEvent.Kind.FIRED:
            begun[key] = event.at
        elif (since := begun.pop(key, None)) is not None:
            found.append(_alert(since, event.at, event.rule_name, event.group, event.rule))
    return found


def _merged(found: list[AnnotationInfo]) -> list[AnnotationInfo]:
    """Spans of one rule and part of the service that overlap are one: sixty nodes that go dark are one mark on a chart."""
    runs: dict[tuple[str, ...], list[list[AnnotationInfo]]] = {}
    for one in sorted(found, key=lambda each: each.at):
        held = runs.setdefault((one.text.partition(": ")[0], one.link, one.model, one.region, one.cluster), [])
        last = held[-1] if held else []
        if last and (any(each.lasting for each in last) or max(each.until or one.at for each in last) >= one.at):
            last.append(one)
        else:
            held.append([one])
    return [_together(run) for held in runs.values() for run in held]


def _together(run: list[AnnotationInfo]) -> AnnotationInfo:
    lasting = any(one.lasting for one in run)
    until = None if lasting else max(one.until for one in run if one.until)
    name, _, _ = run[0].text.partition(": ")
    groups = list(dict.fromkeys(one.text.partition(": ")[2] for one in run))
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    text = f"{name}: {', '.join(groups[:NAMED])}{more}" if any(groups) else name
    return replace(run[0], text=text, until=until, lasting=lasting)


def _alert(at: datetime, until: datetime | None, name: str, group: str, rule: AlertRule | None) -> AnnotationInfo:
    """About the part of the service that the rule is narrowed to, or that the group is."""
    where = {part: group if rule and rule.group_by == part else (getattr(rule, part) if rule else "") for part in PARTS}
    link = f"/operator/alerts/rules/{rule.pk}/" if rule else ""
    text = f"{name}: {group}" if group else name
    return AnnotationInfo(None, at, until, ALERT, text, link, **where, made_by="", lasting=until is None)
