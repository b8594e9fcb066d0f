"""Alerts: what fires now, the rules, notices, silences, channels, annotations, and what has happened. Live; what changes anything is in
alert_forms.py."""

from datetime import UTC, datetime, timedelta

from dashboard import formats
from dashboard.operator.alert_spark import Spark, spark
from dashboard.operator.filters import Filters
from dashboard.operator.pages import Ids, Page, Shown
from metering.public import ANNOTATION_KINDS, AlertRuleInfo, OpenAlert, alert_board, annotations

SHOWN_EVENTS = 60
SHOWN_GROUPS = 8
SHOWN_NOTICES = 20
SHOWN_ANNOTATIONS = 30
NAMED = 4  # of the rules that tell nobody
ANNOTATED = timedelta(days=30)
AHEAD = timedelta(days=366)
LATE = timedelta(minutes=3)  # rules are looked at every minute


def open_rows(found: list[OpenAlert], now: datetime) -> list[dict[str, object]]:
    return [
        {
            "alert": one,
            "firing": one.state == "firing",
            "since": formats.clock(one.fired_at or one.since, now),
            "lasting": formats.span(now - (one.fired_at or one.since)),
        }
        for one in found
    ]


def open_groups(found: list[OpenAlert], now: datetime) -> list[dict[str, object]]:
    """By rule and state, in their order: sixty nodes that go dark are one box, and not sixty."""
    held: dict[tuple[int, str], list[OpenAlert]] = {}
    for one in found:
        held.setdefault((one.rule, one.state), []).append(one)
    return [
        {
            "alert": ones[0],
            "firing": ones[0].state == "firing",
            "rows": open_rows(ones[:SHOWN_GROUPS], now),
            "count": len(ones),
            "more": max(len(ones) - SHOWN_GROUPS, 0),
            "unclaimed": sum(not one.acknowledged_by for one in ones),
        }
        for ones in held.values()
    ]


def rule_rows(rules: list[AlertRuleInfo]) -> list[dict[str, object]]:
    """What fires first, then what is pending or cannot be read, then the others; those that are off last."""

    def order(one: AlertRuleInfo) -> tuple[bool, bool, bool, bool, str]:
        return not one.enabled, not one.firing, not one.trouble, not one.pending, one.name.lower()

    return [{"rule": one, "spark": _spark(one), "worst": _worst(one)} for one in sorted(rules, key=order)]


def _worst(one: AlertRuleInfo) -> tuple[str, str] | None:
    """The group that is worst off, with its value; None where no group has any, unless that is what the rule waits for."""
    found = one.values[0] if one.values else None
    return None if found and found[1] == formats.NOTHING and one.kind != "absence" else found


def _spark(one: AlertRuleInfo) -> Spark | None:
    return spark(one.recent, one.threshold if one.kind != "absence" else None)


def late_since(now: datetime) -> datetime | None:
    """When rules were looked at last, if that is longer ago than it should be."""
    found = alert_board.looked_at()
    return found if found is not None and found < now - LATE else None


def _read(filters: Filters, ids: Ids) -> Shown:
    now = datetime.now(UTC)
    rules = alert_board.rules()
    marks = [one for one in annotations(now - ANNOTATED, now + AHEAD, alerts=False) if one.id is not None]
    return Shown(
        now,
        {
            "open": open_groups(alert_board.open_alerts(now), now),
            "rules": rule_rows(rules),
            "unsent": [rule.name for rule in rules if rule.enabled and not rule.channels],
            "named": NAMED,
            "late_since": late_since(now),
            "events": alert_board.happened(SHOWN_EVENTS),
            "silences": alert_board.silences(now),
            "channels": alert_board.channels(),
            "notices": alert_board.sent(SHOWN_NOTICES),
            "annotated": sorted(marks, key=lambda one: one.at, reverse=True)[:SHOWN_ANNOTATIONS],
            "annotation_kinds": ANNOTATION_KINDS,
        },
    )


PAGE = Page(
    key="alerts",
    title="Alerts",
    template="operator/alerts.html",
    section="alerts",
    read=_read,
    parts={
        "alerts-open": "operator/_alerts_open.html",
        "alerts-rules": "operator/_alerts_rules.html",
        "alerts-channels": "operator/_alerts_channels.html",
        "alerts-silences": "operator/_alerts_silences.html",
        "alerts-notices": "operator/_alerts_notices.html",
        "alerts-annotations": "operator/_alerts_annotations.html",
        "alerts-events": "operator/_alerts_events.html",
    },
    scope=(),
    ranges=(),
    compares=False,
    every_s=2.0,
)
