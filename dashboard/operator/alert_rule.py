"""One rule: its measure over time against the threshold, when it fired, and the value of each group now."""

from datetime import UTC, datetime, timedelta

from dashboard.figures import Figure
from dashboard.figures_alerts import rule_figure
from dashboard.operator.alerts import late_since, open_groups
from dashboard.operator.filters import Filters
from dashboard.operator.pages import Ids, NotThere, Page, Shown
from dashboard.operator.shelf import SHELF
from metering.public import ALERT_MEASURES, AlertRuleInfo, alert_board

SHOWN_EVENTS = 100
SHOWN_VALUES = 50
MINUTE = timedelta(minutes=1)


def _read(filters: Filters, ids: Ids) -> Shown:
    now = datetime.now(UTC)
    number = int(ids[0]) if ids and ids[0].isascii() and ids[0].isdigit() and len(ids[0]) < 19 else 0
    rule = alert_board.rule(number)
    if rule is None:
        raise NotThere("There is no such rule; it may have been deleted.")
    context = {
        "rule": rule,
        "values": rule.values[:SHOWN_VALUES],
        "more_values": max(len(rule.values) - SHOWN_VALUES, 0),
        "open": open_groups(alert_board.open_alerts(now, number), now),
        "late_since": late_since(now) if rule.enabled else None,
        "events": alert_board.happened(SHOWN_EVENTS, number),
    }
    key = ("alert-rule", rule.id, rule.words, rule.firing, filters)
    figure = SHELF.kept(key, max(filters.refresh_s, 5.0), lambda: _figure(rule, filters, now))
    return Shown(now, context, {"chart-rule": figure})


def _figure(rule: AlertRuleInfo, filters: Filters, now: datetime) -> Figure:
    window = filters.window(now)
    measure = ALERT_MEASURES[rule.measure]
    step = max(window.step, measure.step if measure.read else MINUTE)
    values = alert_board.rule_values(rule.id, window.start, window.end, step)
    fired = alert_board.rule_spans(rule.id, window.start, window.end)
    lines = {"fires at": rule.threshold, "over at": rule.clear if rule.clear != rule.threshold else None}
    marks = {name: value for name, value in lines.items() if value is not None and rule.kind != "absence"}
    ordered = sorted(values, key=lambda name: (name not in fired, _rank(values[name], rule.direction == "above")))
    return rule_figure({name: values[name] for name in ordered}, measure, marks, fired, window)


def _rank(points: list[tuple[datetime, float | None]], above: bool) -> float:
    known = [value for _, value in points if value is not None]
    if not known:
        return float("inf")
    return -max(known) if above else min(known)


PAGE = Page(
    key="alert-rule",
    title="Alert rule",
    template="operator/alert_rule.html",
    section="alerts",
    read=_read,
    parts={
        "rule-state": "operator/_alert_rule_state.html",
        "rule-values": "operator/_alert_rule_values.html",
        "alerts-events": "operator/_alerts_events.html",
    },
    scope=(),
    compares=False,
    every_s=2.0,
)
