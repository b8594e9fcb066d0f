"""The tiles of the overview: what is served, how well, what it takes and what it earns. Each leads to the page that shows more."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from dashboard import formats
from dashboard.operator import links
from dashboard.operator.filters import RANGES
from dashboard.operator.overview import RECENT_MINUTES, Freshness, Overview
from dashboard.operator.overview_money import money_tiles
from dashboard.operator.overview_tables import LATENCY_FIELDS
from dashboard.operator.tiles import ERRORS_ARE_BAD_FROM, Tile, compact
from metering.public import LiveCounts, LiveScope, ObjectiveState, Quantiles

MANY_TIMES = 10  # from here on percentages say less than times
LATENCY_LABELS = {"ttft": "TTFT p95", "tpot": "TPOT p95", "e2e": "End to end p95"}
JOULES, TODAY = "J per output token", "Tokens today"
RATES = (
    ("requests", "Requests", "requests"),
    ("input", "Input tokens", "input_tokens"),
    ("output", "Output tokens", "output_tokens"),
)
PAGE_OF = {
    "requests": "latency",
    "input": "tenants",
    "output": "tenants",
    "today": "tenants",
    "errors": "latency",
    "ttft": "latency",
    "tpot": "latency",
    "e2e": "latency",
    "gpus": "gpus",
    "power": "power",
    "joules": "power",
    "revenue": "margin",
    "margin": "margin",
    "newest": "ingest",
}


def tiles(found: Overview) -> list[Tile]:
    all_ = [
        *_rates(found),
        *_latencies(found),
        *_fleet(found),
        *money_tiles(found.money),
        _newest(found.freshness),
    ]
    return [replace(tile, link=links.address(PAGE_OF[tile.key], found.filters)) for tile in all_]


def change(now: float | None, before: float | None, ago: str) -> str:
    """'+12 % on 24 hours before'; '' where one of the two is not known."""
    if now is None or before is None:
        return ""
    if before == 0:
        return f"none {ago} before" if now else f"as {ago} before"
    if now / before >= MANY_TIMES:
        return f"{now / before:,.0f} times {ago} before"
    moved = now / before - 1
    sign = "+" if moved > 0 else formats.MINUS if moved < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{abs(moved) * 100:.0f} % on {ago} before"


def _ago(found: Overview) -> str:
    """How long before it is compared with: '24 hours'."""
    key = found.filters.range
    return RANGES[key].label if key in RANGES else "one range"


def _rates(found: Overview) -> Iterator[Tile]:
    if found.now is None:
        yield from (_unread(key, label) for key, label, _ in RATES)
        yield from (_unread("errors", "Errors"), _unread("today", TODAY))
        return
    pulse, before, ago = found.now.pulse, found.before, _ago(found)
    minute = "last 60 s"
    for key, label, name in RATES:
        rate = pulse.per_second(getattr(pulse, name))
        then = before.recent.counts.per_second(getattr(before.recent.counts, name)) if before else None
        yield Tile(key, label, formats.rate(rate), "/ s", minute, change=change(rate, then, ago))
    bad = "bad" if (pulse.error_ratio or 0) >= ERRORS_ARE_BAD_FROM else ""
    errors, _, percent = formats.percent(pulse.error_ratio).partition(" ")
    then = before.recent.counts.error_ratio if before else None
    was = f"{formats.percent(then)} {ago} before" if before else ""
    yield Tile("errors", "Errors", errors, percent, f"{formats.whole(pulse.error)} in the {minute}", bad, change=was)
    yield _today(found, found.now.today)


def _unread(key: str, label: str) -> Tile:
    return Tile(key, label, formats.NOTHING, "", "being read")


def _today(found: Overview, today: LiveCounts) -> Tile:
    """Against the record of all customers, so only where all are shown."""
    record = found.record
    tokens = today.input_tokens + today.output_tokens
    note = f"{formats.whole(today.requests)} requests since 00:00 UTC"
    if record is not None and found.filters.scope == LiveScope():
        day, most = record
        note = (
            f"a record; so far {' '.join(compact(most))} on {day:%-d %b}"
            if tokens > most
            else _of_record(tokens, most, f"{day:%-d %b}")
        )
    yesterday = found.before.today if found.before else None
    then = yesterday.input_tokens + yesterday.output_tokens if yesterday else None
    return Tile("today", TODAY, *compact(tokens), note, change=change(tokens, then, "the day"))


def _of_record(tokens: int, most: int, day: str) -> str:
    return f"{tokens / most * 100:.0f} % of the record, {' '.join(compact(most)).strip()} on {day}"


def _latencies(found: Overview) -> Iterator[Tile]:
    if found.now is None:
        yield from (_unread(key, label) for key, label in LATENCY_LABELS.items())
        return
    for key, label in LATENCY_LABELS.items():
        field = LATENCY_FIELDS[key]
        measured: Quantiles | None = getattr(found.now.recent, field)
        before: Quantiles | None = getattr(found.before.recent, field) if found.before else None
        note, tone = _objective(found, field)
        yield Tile(
            key,
            label,
            formats.latency(field, measured.p95 if measured else None),
            formats.LATENCY_UNITS[field] if measured else "",
            note or f"last {RECENT_MINUTES} min, no objective",
            tone,
            change=change(measured.p95 if measured else None, before.p95 if before else None, _ago(found)),
        )


def _objective(found: Overview, field: str) -> tuple[str, str]:
    """What is said of the objective for just what is shown, '' if there is none; and whether it is being missed."""
    mine = next(
        (
            one
            for one in found.objectives
            if one.measure == field and one.scope == found.filters.scope and one.threshold_ms
        ),
        None,
    )
    if mine is None or mine.threshold_ms is None:
        return "", ""
    share = mine.recent["5m"].share if mine.recent else None
    aim = f"{mine.target * 100:g} % within {formats.latency(field, mine.threshold_ms)} {formats.LATENCY_UNITS[field]}"
    reached = formats.NOTHING if share is None else f"{_down(share * 100)} %"
    return f"{reached} of {aim}", "bad" if share is not None and share < mine.target and _burns(mine) else ""


def _burns(mine: ObjectiveState) -> bool:
    """Over an hour, too: a bad minute is no missed objective."""
    share = mine.recent["1h"].share
    return share is not None and share < mine.target


def _down(percent: float) -> str:
    """Never rounded up to what was not reached."""
    return f"{int(percent * 100) / 100:.2f}"


def _fleet(found: Overview) -> Iterator[Tile]:
    fleet, before, ago = found.fleet, found.before.gpus if found.before else None, _ago(found)
    if fleet is None:
        yield from (_unread("gpus", "GPUs busy"), _unread("power", "Power"), _unread("joules", JOULES))
        return
    active = f"SMs active {fleet.active * 100:.0f} %" if fleet.active is not None else "no GPU reports"
    busy = formats.NOTHING if fleet.busy is None else formats.whole(fleet.busy)
    was = f"{before.sm_active * 100:.0f} % {ago} before" if before and before.sm_active is not None else ""
    yield Tile("gpus", "GPUs busy", busy, f"of {formats.whole(fleet.gpus)}" if fleet.gpus else "", active, change=was)
    drawn = fleet.power_w
    if drawn is None:
        yield Tile("power", "Power", formats.NOTHING, "", "no GPU reports its power")
    else:
        of = f"of {_kw(fleet.limit_w)} kW" if fleet.limit_w else "kW"
        share = f"{drawn / fleet.limit_w * 100:.0f} % of the cap" if fleet.limit_w else "no cap known"
        yield Tile(
            "power", "Power", _kw(drawn), of, share, change=change(drawn, before.power_w if before else None, ago)
        )
    yield _joules(found, drawn, before.power_w if before else None)


def _joules(found: Overview, power_w: float | None, power_before: float | None) -> Tile:
    """Power of the GPUs over tokens of the last minute: idle time is in it. Of one customer or tier it is not known from this."""
    filters = found.filters
    if filters.tenant or filters.tier:
        return Tile("joules", JOULES, formats.NOTHING, "", "of all customers and tiers only")
    if found.now is None:
        return _unread("joules", JOULES)
    joules = _per_token(power_w, found.now.pulse.output_tokens, found.now.pulse.seconds)
    counts = found.before.recent.counts if found.before else None
    then = _per_token(power_before, counts.output_tokens, counts.seconds) if counts else None
    if joules is None:
        return Tile("joules", JOULES, formats.NOTHING, "", "needs power and tokens")
    return Tile(
        "joules",
        JOULES,
        formats.rate(joules),
        "J",
        "last 60 s, idle included",
        change=change(joules, then, _ago(found)),
    )


def _per_token(power_w: float | None, tokens: int, seconds: float) -> float | None:
    return power_w * seconds / tokens if power_w is not None and tokens else None


def _kw(watts: float) -> str:
    return formats.rate(watts / 1000)


def _newest(freshness: Freshness) -> Tile:
    sealed = f"sealed up to {formats.clock(freshness.sealed_until)}" if freshness.sealed_until else "nothing sealed yet"
    if freshness.newest is None:
        return Tile("newest", "Newest event", "> 15" if freshness.ever else formats.NOTHING, "min ago", sealed)
    value, _, unit = formats.span(datetime.now(UTC) - freshness.newest).partition(" ")
    return Tile("newest", "Newest event", value, f"{unit} ago", sealed)
