"""What an operator does with alerts: make and change rules and channels, try a rule, acknowledge, silence. Plain values in."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from metering.alerts import notices, values
from metering.alerts.catalogue import BURN, CATALOGUE
from metering.alerts.evaluating import TURNED_OFF, let_go
from metering.alerts.wording import in_words
from metering.models import AlertChannel, AlertEvent, AlertRule, AlertSilence, AlertState

SCOPE = values.SCOPE
# What makes another question of a rule: what it found before is no answer to it.
QUESTION = ("measure", "kind", "direction", "window", "group_by", *SCOPE)
TEXTS = ("name", "severity", "advice", *QUESTION)
DEFAULTS = {"kind": "threshold", "direction": "above", "severity": "ticket"}
LONGEST_SILENCE = timedelta(days=90)


class AlertRefused(ValueError):
    """What was asked for cannot be. The message is for the operator."""


def save_rule(identity: int | None, given: Mapping[str, str], channels: Sequence[int], *, by: str) -> int:
    """Make a rule, or change one. Raises AlertRefused, naming the field; LookupError for one that there is not."""
    row = _ruled(identity, given)
    row.changed_by = by
    _check(row)
    now = timezone.now()
    with transaction.atomic():
        before = AlertRule.objects.select_for_update().filter(pk=identity).first() if identity is not None else None
        if before and any(getattr(before, name) != getattr(row, name) for name in QUESTION):
            let_go(before, now, f"{by} changed the rule")
            row.values, row.recent = [], []
        row.save()
        row.channels.set(AlertChannel.objects.filter(pk__in=channels))
        said = "changed it" if before else "made it"
        _put_down(row, AlertEvent.Kind.CHANGED, "", f"{by} {said}: {in_words(row)}", now)
    return row.pk


def delete_rule(identity: int, *, by: str) -> None:
    """Its history stays, under its name."""
    now = timezone.now()
    with transaction.atomic():
        row = AlertRule.objects.select_for_update().filter(pk=identity).first()
        if row is None:
            return
        let_go(row, now, f"{by} deleted the rule")
        _put_down(row, AlertEvent.Kind.CHANGED, "", f"{by} deleted it: {in_words(row)}", now)
        row.delete()


def enable_rule(identity: int, enabled: bool, *, by: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        row = AlertRule.objects.select_for_update().filter(pk=identity).exclude(enabled=enabled).first()
        if row is None:
            return
        if not enabled:
            let_go(row, now, TURNED_OFF)
        row.enabled, row.changed_by, row.trouble = enabled, by, ""
        row.save()
        _put_down(row, AlertEvent.Kind.CHANGED, "", f"{by} turned it {'on' if enabled else 'off'}", now)


def back_test(given: Mapping[str, str], start: datetime, end: datetime) -> tuple[dict[str, values.Spans], timedelta]:
    """When a rule of these fields would have fired, by group, and in steps of what it was tried. Raises AlertRefused, and as a reading
    does."""
    row = _ruled(None, given)
    _check(row, unique=False)
    return values.would_have_fired(row, start, end)


def acknowledge(rule: int, *, by: str) -> int:
    """Say that somebody looks after all of a rule that fires now. How many groups that were; none if it is over, or was acknowledged
    before."""
    now = timezone.now()
    firing = AlertState.objects.filter(rule=rule, state=AlertState.State.FIRING, acknowledged_at=None)
    with transaction.atomic():
        rows = list(firing.select_for_update(of=("self",)).select_related("rule"))
        for row in rows:
            row.acknowledged_by, row.acknowledged_at = by, now
            row.save()
            where = f"{row.group}: " if row.group else ""
            _put_down(row.rule, AlertEvent.Kind.ACKNOWLEDGED, row.group, f"{where}{by} looks after it", now)
    return len(rows)


def silence(*, by: str, rule: int | None, matching: str, start: datetime, end: datetime, reason: str) -> None:
    """Raises AlertRefused."""
    if end <= start:
        raise AlertRefused("A silence ends after it begins.")
    if end - start > LONGEST_SILENCE:
        raise AlertRefused(f"A silence lasts at most {LONGEST_SILENCE.days} days.")
    of = AlertRule.objects.filter(pk=rule).first() if rule is not None else None
    if rule is not None and of is None:
        raise AlertRefused("There is no such rule.")
    row = AlertSilence(rule=of, matching=matching, starts_at=start, ends_at=end, reason=reason, made_by=by)
    _clean(row)
    what = f"groups with “{matching}”" if matching else "everything"
    with transaction.atomic():
        row.save()
        said = f"{by} silenced {what} until {end:%-d %b %H:%M} UTC: {reason}"
        _put_down(of, AlertEvent.Kind.SILENCED, "", said, timezone.now())


def end_silence(identity: int, *, by: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        row = AlertSilence.objects.select_for_update().filter(pk=identity, ends_at__gt=now).first()
        if row is not None:
            row.ends_at = max(now, row.starts_at)
            row.save()
            _put_down(row.rule, AlertEvent.Kind.SILENCED, "", f"{by} ended the silence: {row.reason}", now)


def save_channel(identity: int | None, *, name: str, kind: str, target: str, secret: str) -> int:
    """An empty `target` or `secret` of a channel that is there keeps what it has. Raises AlertRefused."""
    row = AlertChannel.objects.filter(pk=identity).first() if identity is not None else AlertChannel()
    if row is None:
        raise AlertRefused("There is no such channel.")
    row.name, row.kind = name, kind
    row.target, row.secret = target or row.target, secret or row.secret
    _clean(row)
    _check_target(row)
    row.save()
    return row.pk


def give_to_silent_rules(channel: int) -> None:
    """Every rule that tells nobody yet tells this channel."""
    AlertChannel.objects.get(pk=channel).rules.add(*AlertRule.objects.filter(channels=None))


def enable_channel(identity: int, enabled: bool) -> None:
    AlertChannel.objects.filter(pk=identity).update(enabled=enabled)


def delete_channel(identity: int) -> None:
    AlertChannel.objects.filter(pk=identity).delete()


def send_test(identity: int, *, by: str) -> str:
    """Send a message through it now. '' if it was taken, else what stood in the way."""
    row = AlertChannel.objects.filter(pk=identity).first()
    if row is None:
        return "There is no such channel."
    notice = notices.write_test(row, by)
    return "" if notices.deliver(notice, timezone.now()) else notice.failure


def try_again(identity: int) -> bool:
    """Put a notice that was not delivered on its way again. False if it was by now."""
    return notices.try_again(identity, timezone.now())


def _put_down(rule: AlertRule | None, kind: AlertEvent.Kind, group: str, text: str, now: datetime) -> None:
    name = rule.name if rule else "Every rule"
    AlertEvent.objects.create(rule=rule, rule_name=name, group=group, kind=kind, at=now, text=text[:500])


def _ruled(identity: int | None, given: Mapping[str, str]) -> AlertRule:
    row = AlertRule()
    if identity is not None:
        found = AlertRule.objects.filter(pk=identity).first()
        if found is None:
            raise LookupError("there is no such rule")
        row = found
    # A form leaves out what does not go with the measure.
    for name in TEXTS:
        setattr(row, name, given.get(name, "").strip() or DEFAULTS.get(name, ""))
    if row.measure not in CATALOGUE:
        raise AlertRefused("Choose what the rule watches.")
    factor = CATALOGUE[row.measure].factor
    row.threshold, row.clear = (_number(name, given, factor) for name in ("threshold", "clear"))
    row.for_minutes = round(_number("for_minutes", given, 1.0) or 0)
    row.window = (row.window or AlertRule.Window.HOUR) if row.kind == BURN else ""
    return row


def _number(name: str, given: Mapping[str, str], factor: float) -> float | None:
    text = given.get(name, "").strip().replace(",", "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AlertRefused(f"{text!r} is no number.")
    return value / factor


def _check(row: AlertRule, *, unique: bool = True) -> None:
    found = CATALOGUE[row.measure]
    if row.kind not in found.kinds:
        raise AlertRefused(f"{found.label} can be watched by a rule of kind {' or '.join(found.kinds)} only.")
    if row.kind != AlertRule.Kind.ABSENCE and row.threshold is None:
        raise AlertRefused("A threshold is missing.")
    if row.group_by and row.group_by not in found.dimensions:
        raise AlertRefused(f"{found.label} cannot be told by {row.group_by}.")
    for name in SCOPE:
        if getattr(row, name) and name not in found.dimensions:
            raise AlertRefused(f"{found.label} cannot be narrowed to one {name}.")
    _check_clear(row)
    _clean(row, unique=unique)


def _check_clear(row: AlertRule) -> None:
    if row.clear is None or row.threshold is None:
        return
    above = row.kind == BURN or row.direction == AlertRule.Direction.ABOVE
    if row.clear > row.threshold if above else row.clear < row.threshold:
        raise AlertRefused("It would clear beyond its own threshold, and fire and clear for ever.")


def _clean(row: AlertRule | AlertChannel | AlertSilence, *, unique: bool = True) -> None:
    if any(isinstance(value, str) and "\x00" in value for value in vars(row).values()):
        raise AlertRefused("A text cannot have a NUL in it.")
    try:
        row.full_clean(validate_unique=unique, exclude=None if unique else ["name"])
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise AlertRefused(f"{field.replace('_', ' ')}: {messages[0]}") from error


def _check_target(row: AlertChannel) -> None:
    """Operators are trusted with where notices go; this catches what can only be a mistake."""
    if row.kind == AlertChannel.Kind.EMAIL:
        for address in row.target.split(","):
            try:
                validate_email(address.strip())
            except ValidationError:
                raise AlertRefused(f"{address.strip()!r} is no e-mail address.") from None
        return
    parts = urlsplit(row.target)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AlertRefused("A webhook's target is an address that begins with https:// or http://.")
