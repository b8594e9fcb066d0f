"""Alerts in words."""

from metering.alerts.catalogue import CATALOGUE
from metering.alerts.machine import CALMED, FIRED, RESOLVED
from metering.alerts.values import SCOPE
from metering.models import AlertRule

# Larger units, the largest first: by which factor they begin, and their names.
LARGER = {
    "bytes": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")),
    "s": ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")),
    "W": ((1e6, "MW"), (1e3, "kW")),
}
WINDOWS = {"1h": "1 h and 5 min", "6h": "6 h and 30 min", "3d": "3 d and 6 h"}
NOT_YET_LARGER = {"s": 120.0}


def amount(rule: AlertRule, value: float | None) -> str:
    """'1,204 ms', '98.2 %', '2 h'; a dash for none."""
    found = CATALOGUE.get(rule.measure)
    if value is None or found is None:
        return "\N{EN DASH}"
    shown, unit = value * found.factor, found.unit
    for size, name in LARGER.get(unit, ()):
        if abs(shown) >= max(size, NOT_YET_LARGER.get(unit, 0.0)):
            return f"{shown / size:,.3g} {name}"
    return f"{shown:,.3g} {unit}" if abs(shown) < 1000 else f"{shown:,.0f} {unit}"


def in_words(rule: AlertRule) -> str:
    """'Time to first token, p95 above 500 ms for 5 min, by model'."""
    found = CATALOGUE.get(rule.measure)
    label = found.label if found else rule.measure
    lasting = (
        f"{',' if rule.kind == AlertRule.Kind.BURN else ''} for {rule.for_minutes} min" if rule.for_minutes else ""
    )
    only = [f"{name} {getattr(rule, name)}" for name in SCOPE if getattr(rule, name)]
    group = f", by {rule.group_by}" if rule.group_by else ""
    return f"{label} {_what(rule)}{lasting}{group}{' (' + ', '.join(only) + ')' if only else ''}"


def _what(rule: AlertRule) -> str:
    if rule.kind == AlertRule.Kind.ABSENCE:
        return "missing"
    if rule.kind == AlertRule.Kind.BURN:
        return f"above {amount(rule, rule.threshold)} over both {WINDOWS[rule.window or '1h']}"
    return f"{rule.direction} {amount(rule, rule.threshold)}"


def happened(rule: AlertRule, what: str, group: str, value: float | None, why: str = "") -> str:
    """One line for history and notices. `why`: it ended by other means than its value."""
    where = f"{group}: " if group else ""
    if why:
        return f"{where}{'over' if what == RESOLVED else 'not after all'}, as {why}"
    if what == RESOLVED:
        return f"{where}over, now {amount(rule, value)}" if value is not None else f"{where}over; no longer reported"
    if what == CALMED:
        return f"{where}not after all, now {amount(rule, value)}"
    if rule.kind == AlertRule.Kind.ABSENCE:
        return f"{where}no value" + (f" for {rule.for_minutes} min" if what == FIRED and rule.for_minutes else "")
    return f"{where}{amount(rule, value)}, {rule.direction} {amount(rule, rule.threshold)}"
