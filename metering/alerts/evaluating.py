"""The evaluation of all rules, once a minute, by one process over all hosts."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from metering import moments
from metering.advisory import advisory_lock
from metering.alerts import notices, samples
from metering.alerts.machine import CALMED, FIRED, FIRING, PENDING, RESOLVED, Held, advance
from metering.alerts.silences import silencer
from metering.alerts.values import UNREADABLE, Readings, condition_of, worst_first
from metering.alerts.wording import happened
from metering.models import AlertEvent, AlertRule, AlertState

logger = logging.getLogger(__name__)
ADVISORY_LOCK = 0x7A11_0007  # one evaluation at a time over all hosts
VALUES_KEPT = 200  # of a rule's groups, the worst
RECENT_KEPT = 60
KINDS = {PENDING: "pending", CALMED: "calmed", FIRED: "fired", RESOLVED: "resolved"}
TURNED_OFF = "the rule was turned off"


def run(now: datetime | None = None) -> int | None:
    """Evaluate every enabled rule. Returns how many groups fired or are over; None if another process is at it.

    A rule that cannot be read says so and keeps its states; the others go on.
    """
    with advisory_lock(ADVISORY_LOCK) as alone:
        if not alone:
            return None
        readings = Readings(now or timezone.now())
        for rule in AlertRule.objects.filter(enabled=False, states__isnull=False).distinct():
            let_go(rule, readings.now, TURNED_OFF)
        count = sum(_evaluate(rule, readings) for rule in AlertRule.objects.filter(enabled=True))
        readings.baseline()
        samples.keep(readings.live, readings.now)
        return count


def let_go(rule: AlertRule, now: datetime, why: str) -> None:
    """End everything that the rule found, because it is no longer looked at. Who was told that it fires is told."""
    with transaction.atomic():
        found = _Outcome(rule, now, silencer(rule, now))
        for state in rule.states.select_for_update():
            if state.state == FIRING:
                found.add(state.group, RESOLVED, None, told=state.told_at is not None, why=why)
            else:
                found.add(state.group, CALMED, None, why=why)
        rule.states.all().delete()
        found.write()


@dataclass
class _Outcome:
    """What an evaluation of a rule says happened: events for the history, and lines for those who are told."""

    rule: AlertRule
    now: datetime
    silenced: Callable[[str], bool]
    events: list[AlertEvent] = field(default_factory=list)
    firing: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def add(self, group: str, what: str, value: float | None, *, told: bool = False, why: str = "") -> None:
        quiet = self.silenced(group)
        text = happened(self.rule, what, group, value, why)[:500]
        self.events.append(
            AlertEvent(
                rule=self.rule,
                rule_name=self.rule.name,
                group=group,
                kind=KINDS[what],
                at=self.now,
                value=value,
                text=text,
                silenced=quiet and what in {FIRED, RESOLVED},
            )
        )
        if what == RESOLVED and told and not quiet:
            self.over.append(text)

    def tell(self, state: AlertState) -> None:
        """That it fires: at once, or as soon as nothing silences it."""
        if state.told_at is not None or self.silenced(state.group):
            return
        late = state.fired_at is not None and state.fired_at < self.now
        since = f" (since {state.fired_at:%-d %b %H:%M} UTC)" if late else ""
        self.firing.append(happened(self.rule, FIRED, state.group, state.value) + since)
        state.told_at = self.now

    def write(self) -> int:
        AlertEvent.objects.bulk_create(self.events)
        notices.write(self.rule, self.firing, self.over, self.now)
        return sum(event.kind in {"fired", "resolved"} for event in self.events)


def _evaluate(rule: AlertRule, readings: Readings) -> int:
    now = readings.now
    try:
        values = readings.of(rule)
    except UNREADABLE as error:
        logger.warning("alert rule %s cannot be read: %s", rule.name, error)
        _unread(rule, now, str(error))
        return 0
    except Exception as error:
        # One rule's fault must not take the others with it: at night nobody would hear of anything.
        logger.exception("alert rule %s failed", rule.name)
        _unread(rule, now, f"{type(error).__name__}: {error}")
        return 0
    with transaction.atomic():
        held = AlertRule.objects.select_for_update().filter(pk=rule.pk, enabled=True, changed_at=rule.changed_at)
        if not held.exists():
            return 0  # it was changed or deleted meanwhile: the next minute sees it as it is
        _note(rule, values, now)
        return _apply(rule, {group[:300]: value for group, value in values.items()}, now)


def _unread(rule: AlertRule, now: datetime, why: str) -> None:
    AlertRule.objects.filter(pk=rule.pk).update(evaluated_at=now, trouble=why[:300])


def _note(rule: AlertRule, values: Mapping[str, float | None], now: datetime) -> None:
    """What pages show of it without reading anything."""
    ordered = worst_first(rule, values)
    worst = next((value for _, value in ordered if value is not None), None)
    recent = [*rule.recent, [moments.seconds(now), worst]][-RECENT_KEPT:]
    kept = [list(one) for one in ordered[:VALUES_KEPT]]
    AlertRule.objects.filter(pk=rule.pk).update(evaluated_at=now, trouble="", values=kept, recent=recent)


def _apply(rule: AlertRule, values: Mapping[str, float | None], now: datetime) -> int:
    condition = condition_of(rule)
    states = {state.group: state for state in rule.states.select_for_update()}
    found = _Outcome(rule, now, silencer(rule, now))
    for group in {**values, **states}:
        before = states.get(group)
        held = _held(before) if before is not None else None
        after, what = advance(held, condition, values.get(group), now)
        if what:
            found.add(group, what, values.get(group), told=before is not None and before.told_at is not None)
        if after is None:
            if before is not None:
                before.delete()
            continue
        state = before or AlertState(rule=rule, group=group)
        state.state, state.since, state.seen_at = after.state, after.since, after.seen_at
        state.value, state.fired_at = after.value, after.fired_at
        if state.state == FIRING:
            found.tell(state)
        state.save()
    return found.write()


def _held(state: AlertState) -> Held:
    return Held(state.state, state.since, state.seen_at, state.value, state.fired_at)
