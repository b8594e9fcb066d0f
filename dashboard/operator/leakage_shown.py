"""Leakage as text: the tiles and the rows of its page. Pure."""

from dataclasses import dataclass

from dashboard import formats
from dashboard.operator.tiles import Tile, compact
from metering.public import Incomplete, Leakage, LeakageReport, LeakageRow, LeakageState

REASONS = {
    Incomplete.RESTART: "its counters began anew",
    Incomplete.SAMPLES: "samples are missing",
    Incomplete.WINDOWS: "not seen for all of the hour",
    Incomplete.OPEN: "not settled yet",
}


@dataclass(frozen=True)
class EngineRow:
    """`alert`: it is on alert now. `left_out`: how many hours are in no figure, and why."""

    node: str
    engine: str
    model: str
    region: str
    simulated: bool
    alert: bool
    engine_tokens: str
    event_tokens: str
    unbilled: str
    unbilled_share: str
    phantom: str
    phantom_share: str
    engine_requests: str
    event_requests: str
    aborted: str
    compared: str
    left_out: tuple[str, ...]


def rows(report: LeakageReport, state: LeakageState) -> list[EngineRow]:
    """One for each engine: those on alert first, then those that leak most."""
    alarmed = {(one.node, one.engine) for one in state.alerts}
    found = sorted(report.rows, key=lambda row: (_place(row, alarmed), row.node, row.engine, row.model))
    return [_row(row, (row.node, row.engine) in alarmed) for row in found]


def total(report: LeakageReport) -> EngineRow:
    return _row(LeakageRow(report.start, report.total), alert=False)


def tiles(report: LeakageReport, state: LeakageState) -> list[Tile]:
    found, limit = report.total, state.threshold.share
    engines = len({(row.node, row.engine) for row in report.rows})
    return [
        _share_tile("unbilled", "Unbilled", found.unbilled_share, limit, "of what engines counted has no event"),
        Tile("unbilled-tokens", "Unbilled tokens", *compact(round(found.unbilled.tokens)), _split(found)),
        _share_tile("phantom", "Phantom", found.phantom_share, limit, "of what events bill was never produced"),
        Tile(
            "phantom-tokens", "Phantom tokens", *compact(round(found.phantom.tokens)), "in events, counted by no engine"
        ),
        Tile("aborted", "Aborted", formats.whole(round(found.aborted)), "requests", "the client went away"),
        Tile(
            "compared",
            "Compared",
            formats.whole(found.hours),
            "engine hours",
            f"of {formats.counted(engines, 'engine')}",
        ),
        Tile("left-out", "Left out", formats.whole(found.incomplete_hours), "engine hours", "incomplete: in no share"),
        Tile(
            "settled", "Settled until", formats.clock(report.closed_until), "", f"alert above {formats.percent(limit)}"
        ),
    ]


def _share_tile(key: str, label: str, share: float | None, limit: float, note: str) -> Tile:
    value, _, unit = formats.percent(share).partition(" ")
    return Tile(key, label, value, unit, note, "bad" if (share or 0) > limit else "")


def _split(found: Leakage) -> str:
    return f"input {formats.whole(round(found.unbilled.input))}, output {formats.whole(round(found.unbilled.output))}"


def _place(row: LeakageRow, alarmed: set[tuple[str, str]]) -> tuple[bool, float]:
    worst = max(row.found.unbilled_share or 0.0, row.found.phantom_share or 0.0)
    return (row.node, row.engine) not in alarmed, -worst


def _row(row: LeakageRow, alert: bool) -> EngineRow:
    found = row.found
    compared = found.hours > 0
    return EngineRow(
        node=row.node,
        engine=row.engine,
        model=row.model,
        region=row.region,
        simulated=found.simulated,
        alert=alert,
        engine_tokens=_count(found.engine_side.tokens, compared),
        event_tokens=_count(found.event_side.tokens, compared),
        unbilled=_count(found.unbilled.tokens, compared),
        unbilled_share=formats.percent(found.unbilled_share),
        phantom=_count(found.phantom.tokens, compared),
        phantom_share=formats.percent(found.phantom_share),
        engine_requests=_count(found.engine_side.requests, compared),
        event_requests=_count(found.event_side.requests, compared),
        aborted=_count(found.aborted, compared),
        compared=f"{found.hours} h",
        left_out=tuple(f"{count} h: {REASONS[reason]}" for reason, count in found.reasons),
    )


def _count(value: float, compared: bool) -> str:
    return formats.whole(round(value)) if compared else formats.NOTHING
