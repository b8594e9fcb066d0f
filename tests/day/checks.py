"""What the stack says of the day, against the counters as they were sent and against what the simulator knows."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from metering import moments
from metering.clickhouse import client
from metering.simulator.truth import ABORTED_CELL, SERVED_CELL, TruthMinute, tenant_joules
from metering.telemetry.reconciliation.report import leakage_report
from tests.day import scripted
from tests.day.run import Day, Report

CONSERVED_TO = 1e-6  # relative, in every window
TENANT_WITHIN = 0.05  # of the truth
LEAKED_WITHIN = 0.001  # a tenth of a point


def check(day: Day) -> Report:
    report = Report({}, [])
    for part in (conservation, counters, tenants, withheld, leakage, saturation):
        part(day, report)
    return report


def conservation(day: Day, report: Report) -> None:
    """The terms of each window, the tenants' as their own rows have them, against the window's counter."""
    rows = _rows(
        day,
        """
        SELECT count(), sum(counter_j), max(abs(terms - counter_j) / counter_j), sum(idle_j), sum(unattributed_j), sum(tenants_j),
            min(least(idle_j, unattributed_gap_j, unattributed_no_event_j, unattributed_aborted_j, unattributed_no_engine_j))
        FROM
        (
            SELECT *, unattributed_gap_j + unattributed_no_event_j + unattributed_aborted_j + unattributed_no_engine_j AS unattributed_j,
                idle_j + unattributed_j + tenants_j AS terms
            FROM (SELECT * FROM energy_windows FINAL WHERE {within} AND counter_j > 0) AS w
            LEFT JOIN
            (
                SELECT window_start, node, engine, sum(energy_j) AS tenants_j FROM energy_attributed FINAL
                WHERE {within} GROUP BY window_start, node, engine
            ) AS a USING (window_start, node, engine)
        )
        """,
    )
    windows, counter, worst, idle, unattributed, attributed, least = rows[0]
    shares = {"tenants": attributed, "idle": idle, "unattributed": unattributed}
    report.counts["windows of one engine and minute"] = windows
    report.counts["energy, kWh"] = f"{counter / 3.6e6:.1f}"
    report.counts |= {f"  {name}, share": f"{joules / counter:.4f}" for name, joules in shares.items()}
    report.counts["worst window: terms against counter, relative"] = f"{worst:.2e}"
    _expect(report, worst <= CONSERVED_TO, f"a window misses its counter by {worst:.2e}")
    _expect(report, least >= 0, f"a term is negative: {least}")
    engines = day.fleet.engines.count
    _expect(report, windows >= engines * day.hours * 60, f"only {windows} windows for {engines} engines")


def counters(day: Day, report: Report) -> None:
    """What all windows come to, against the last less the first of every GPU's counter, and against the simulator."""
    (told,) = _rows(day, "SELECT sum(counter_j) FROM energy_windows FINAL WHERE {within}")[0]
    (sent,) = _rows(
        day,
        """
        SELECT sum(rise) FROM
        (SELECT gpu, max(energy_j) - min(energy_j) AS rise FROM gpu_samples WHERE {sampled} GROUP BY gpu)
        """,
    )[0]
    truth = sum(float(each.counter_j.sum() + each.unclaimed_j.sum()) for each in _minutes(day))
    report.counts["windows against counters as sent, relative"] = f"{told / sent - 1:.2e}"
    report.counts["windows against the simulator's joules, relative"] = f"{told / truth - 1:.2e}"
    _expect(report, abs(told / sent - 1) <= CONSERVED_TO, "the windows do not come to the counters that were sent")


def tenants(day: Day, report: Report) -> None:
    """Joules of each tenant against the truth."""
    found = dict(_rows(day, "SELECT tenant, sum(energy_j) FROM energy_attributed FINAL WHERE {within} GROUP BY tenant"))
    truth = tenant_joules(day.fleet.plan, _minutes(day))
    errors = {tenant: found.get(tenant, 0.0) / joules - 1 for tenant, joules in truth.items() if joules}
    for tenant, error in sorted(errors.items()):
        report.counts[f"tenant {tenant}: against the truth"] = f"{error:+.2%} of {truth[tenant] / 3.6e6:.2f} kWh"
        _expect(report, abs(error) <= TENANT_WITHIN, f"{tenant} is off by {error:+.2%}")
    _expect(report, len(errors) == len(day.fleet.plan.tenants), "a tenant used nothing")


def withheld(day: Day, report: Report) -> None:
    """The windows in which the withheld request ran show energy of no event; the rest of its engine's hour next to none."""
    event = day.withheld
    end = moments.milliseconds(datetime.fromisoformat(event["time"]))
    begin = end - event["e2e_ms"] + event["queue_ms"]
    rows = _rows(
        day,
        """
        SELECT toUnixTimestamp(window_start) * 1000 AS at, unattributed_no_event_j + unattributed_aborted_j, missing_decode_tokens
        FROM energy_windows FINAL WHERE {within} AND node = %(node)s AND engine = %(engine)s ORDER BY at
        """,
        node=event["node"],
        engine=event["engine"],
    )
    # The quiet hour, less what was aborted just before or after it and reaches into it.
    hour = moments.milliseconds(day.start) + (scripted.WITHHELD_HOUR * 60 + 10) * 60_000, 40 * 60_000
    quiet = [row for row in rows if hour[0] <= row[0] < hour[0] + hour[1]]
    inside = [row for row in quiet if row[0] + 60_000 > begin and row[0] < end + 60_000]
    missing, elsewhere = sum(row[2] for row in inside), sum(row[1] for row in quiet if row not in inside)
    told = sum(row[1] for row in inside)
    report.counts["withheld: output tokens, and those found missing"] = f"{event['output_tokens']} {missing:.0f}"
    report.counts["withheld: J of no event in its windows, and elsewhere"] = f"{told:.0f} {elsewhere:.0f}"
    _expect(report, abs(missing / event["output_tokens"] - 1) < 0.05, "the withheld tokens are not those missing")
    _expect(report, told > 0 and elsewhere < told * 0.05, "what was withheld shows elsewhere, or not at all")


def leakage(day: Day, report: Report) -> None:
    """Per engine, of the hours in which streams are aborted: the share of requests that left no event is the script's, and the share of
    output tokens that of the simulator's truth."""
    start = day.start + timedelta(hours=scripted.WITHHELD_HOUR + 1)
    rows = leakage_report(start, day.end, group_by=("node", "engine")).rows
    found = {(row.node, row.engine): row.found for row in rows}
    truth = _leaked_output(day, moments.milliseconds(start))
    worst = {"requests": 0.0, "output tokens": 0.0}
    for name, true in zip(day.fleet.engines.names, truth, strict=True):
        one = found[name.node.name, name.setup.name]
        output = one.unbilled.output / one.engine_side.output if one.engine_side.output else 0.0
        shares = {
            "requests": (one.unbilled_requests_share or 0.0, day.fleet.plan.aborted),
            "output tokens": (output, true),
        }
        for what, (share, expected) in shares.items():
            worst[what] = max(worst[what], share - expected, key=abs)
            text = f"{name.node.name}/{name.setup.name}: {share:.3%} of {what} leaked, and not {expected:.3%}"
            _expect(report, abs(share - expected) <= LEAKED_WITHIN, text)
    report.counts["leakage: share of requests aborted"] = f"{day.fleet.plan.aborted:.2%}"
    report.counts |= {f"leakage: the worst engine is off by, {what}": f"{off:+.3%}" for what, off in worst.items()}


def saturation(day: Day, report: Report) -> None:
    """Each phase is named within its first minute. Outside of phases the provider's own bursts bind too, now and then: but no engine is
    bound in a minute for which its samples show neither a queue nor a preemption nor a GPU that was clocked down."""
    rows = _rows(
        day,
        "SELECT toUnixTimestamp(minute), node, engine, constraint FROM saturation_minute FINAL WHERE {minutes} AND bound",
    )
    start = moments.seconds(day.start)
    phases = scripted.phases(day.hours)
    for phase in phases:
        mine = [row for row in rows if row[1] == scripted.NODE and row[2] == scripted.ENGINE]
        named = [row[0] - start - phase.start_s for row in mine if row[3] == phase.constraint]
        within = [after for after in named if 0 <= after < scripted.PHASE_S]
        first = min(within, default=None)
        report.counts[f"saturation: minutes named {phase.constraint}"] = f"{len(within)} of {scripted.PHASE_S / 60:.0f}"
        report.counts[f"saturation: {phase.constraint} named in the minute from, s"] = first
        _expect(report, first is not None and first <= 60, f"{phase.constraint} was not named within a minute")
    until_s = scripted.PHASE_S + scripted.RECOVERY_S
    others = [row for row in rows if not any(0 <= row[0] - start - phase.start_s < until_s for phase in phases)]
    pressed = _pressed_minutes(day)
    loud = [row for row in others if row[:3] not in pressed]
    report.counts["saturation: engine minutes bound otherwise"] = (
        f"{len(others)} of {day.fleet.engines.count * day.hours * 60}"
    )
    report.counts["saturation: of them without a reason in the samples"] = len(loud)
    _expect(report, not loud, f"{len(loud)} minutes were not quiet, such as {loud[:3]}")


def _pressed_minutes(day: Day) -> set[tuple[Any, ...]]:
    """(minute, node, engine) in which a sample has requests waiting, counts preemptions, or has a GPU of the engine clocked down; a
    minute's readings reach back to the last sample before it."""
    rows = _rows(
        day,
        """
        WITH pressed AS
        (
            SELECT node, engine, time FROM
            (
                SELECT node, engine, time, waiting, preemptions - lagInFrame(preemptions, 1, preemptions) OVER
                    (PARTITION BY node, engine ORDER BY time ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS more
                FROM engine_samples WHERE {sampled}
            ) WHERE waiting > 0 OR more > 0
            UNION ALL
            SELECT g.node, e.engine, g.time FROM gpu_samples AS g INNER JOIN
                (SELECT DISTINCT node, engine, arrayJoin(gpus) AS gpu FROM engine_samples WHERE {sampled}) AS e
                ON g.node = e.node AND g.gpu = e.gpu
            WHERE {sampled} AND notEmpty(g.throttle)
        )
        SELECT DISTINCT toUnixTimestamp(toStartOfMinute(toDateTime(time, 'UTC') + shift)), node, engine
        FROM pressed ARRAY JOIN [0, 30] AS shift
        """,
    )
    return set(rows)


def _minutes(day: Day) -> list[TruthMinute]:
    """The day's: the simulation goes on a little after it."""
    end = moments.milliseconds(day.end)
    return [each for each in day.fleet.truth.minutes if each.start_ms < end]


def _leaked_output(day: Day, from_ms: int) -> list[float]:
    """By engine: output tokens of requests without an event over all of them."""
    produced = sum(each.output_tokens for each in _minutes(day) if each.start_ms >= from_ms)
    by_kind = np.asarray(produced).sum(axis=(1, 2))
    return [leaked / max(served + leaked, 1.0) for served, leaked in by_kind[:, [SERVED_CELL, ABORTED_CELL]].tolist()]


def _rows(day: Day, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    bounds = {"start": moments.seconds(day.start), "end": moments.seconds(day.end)}
    places = {
        "within": _between("window_start"),
        "minutes": _between("minute"),
        "sampled": _between("toDateTime(time, 'UTC')", last="<="),
    }
    return client.statement("day", sql.format(**places), bounds | parameters, timeout_s=120)


def _between(column: str, *, last: str = "<") -> str:
    return f"{column} >= toDateTime(%(start)s, 'UTC') AND {column} {last} toDateTime(%(end)s, 'UTC')"


def _expect(report: Report, holds: bool, otherwise: str) -> None:
    if not holds:
        report.wrong.append(otherwise)
