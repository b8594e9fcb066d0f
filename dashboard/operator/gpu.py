"""The page of one GPU: everything that is known of it, on one axis of time."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from dashboard import formats
from dashboard.figures import Figure
from dashboard.figures_gpus import gpu_figure
from dashboard.operator.filters import PREVIOUS, Filters
from dashboard.operator.fleet_gpus import THROTTLES, GpuRow, gpu_rows
from dashboard.operator.fleet_links import engine_link
from dashboard.operator.fleet_reading import (
    History,
    engines_now,
    gpus_now,
    history,
    together,
    window_of,
)
from dashboard.operator.fleet_shown import STALE, engine_rows
from dashboard.operator.pages import Ids, NotThere, Page, Shown
from dashboard.operator.tiles import Tile
from metering.public import (
    GoneGpu,
    GpuState,
    SaturationPoint,
    engines_on_gpu,
    fleet_gpu_series,
    saturation_points,
    saturation_series,
)

MOST_ENGINES = 8


@dataclass(frozen=True)
class Drawn:
    figure: Figure
    measured: bool
    engines: tuple[str, ...]


def _read(filters: Filters, ids: Ids, *, glance: bool = False) -> Shown:
    node, gpu = ids
    past = History(("gpu-history", ids, filters), filters, now=glance, slow_from_s=0.0)  # of several queries
    everything, engines, drawn = together(
        gpus_now, engines_now, lambda: past.read(lambda: _drawn(filters, ids, datetime.now(UTC)))
    )
    now = everything.at
    states = [one for one in everything.found if (one.node, one.gpu) == (node, gpu)]
    whole = next((one for one in states if not one.mig), states[0] if states else None)
    lost = next((one for one in everything.gone if (one.node, one.gpu) == (node, gpu)), None)
    if whole is None and lost is None:  # it may have been there in the range: that has to be known now
        drawn = drawn or _drawn(filters, ids, now)
    drawn = drawn or Drawn(gpu_figure(None, {}, window_of(filters, now), THROTTLES), measured=False, engines=())
    if whole is None and lost is None and not drawn.measured:
        raise NotThere("No GPU of this name was heard of, neither lately nor in this range.")
    here = [one for one in engines.found if one.node == node and gpu in one.gpus]
    context = {
        "gpu": gpu,
        "node": node,
        "title": _title(node, gpu, whole or lost),
        "facts": _facts(whole, lost, now),
        "tiles": _tiles(whole, now) if whole else [],
        "engine_rows": engine_rows(here, saturation_points(), now, filters),
        "former": [
            (name, engine_link(node, name, filters))
            for name in drawn.engines
            if name not in {one.engine for one in here}
        ],
        "instances": gpu_rows([one for one in states if one.mig], now, filters),
        "simulated": any(one.simulated for one in states),
        "all_simulated": True,
    }
    return Shown(now, context, {"chart-gpu": drawn.figure})


def _title(node: str, gpu: str, found: GpuState | GoneGpu | None) -> str:
    index = None if found is None else found.index
    return f"{node} GPU {gpu if index is None else index}"


def _facts(whole: GpuState | None, lost: GoneGpu | None, now: datetime) -> str:
    found = whole or lost
    if found is None:
        return "Not heard of in the last day."
    place = ", ".join(filter(None, (found.name, found.region, found.cluster)))
    if whole is None and lost is not None:
        return f"{place}. Gone: seen last before {formats.moment(lost.until)}."
    if whole is not None and now - whole.at > STALE:
        return f"{place}. Stale: no sample for {formats.span(now - whole.at)}."
    return f"{place}."


def _tiles(one: GpuState, now: datetime) -> list[Tile]:
    [row] = gpu_rows([one], now, Filters())
    return [
        Tile("sm", "SM active", row.sm, "", f"tensor {row.tensor}, DRAM {row.dram}"),
        Tile("memory", "Memory used", row.memory, "GiB", f"{row.memory_share} of total"),
        Tile("power", "Power", row.power, "W", f"{row.power_share} of its limit"),
        Tile("temperature", "Temperature", row.temperature, "°C", f"memory {row.memory_temperature} °C"),
        Tile("clock", "SM clock", row.sm_clock, "MHz", f"memory {row.memory_clock} MHz"),
        Tile("throttle", "Throttled", _yes_or_no(row), "", row.throttle if row.throttled else "", _tone(row.throttled)),
        Tile("xid", "XID errors", row.xid, "", "since the driver was loaded", _tone(row.has_xid)),
        Tile("seen", "Seen", row.seen.removesuffix(" ago"), "ago", f"by {one.source}", _tone(row.stale)),
    ]


def _yes_or_no(row: GpuRow) -> str:
    return "yes" if row.throttled else "no" if row.throttle != formats.NOTHING else formats.NOTHING


def _tone(bad: bool) -> str:
    return "bad" if bad else ""


def _drawn(filters: Filters, ids: Ids, now: datetime) -> Drawn:
    node, gpu = ids
    window = window_of(filters, now)
    only: dict[str, str | Sequence[str]] = {"node": node, "gpu": gpu}
    points = fleet_gpu_series(history(window, (), only), reasons=True)
    before = fleet_gpu_series(history(window.previous, (), only)) if filters.compare == PREVIOUS else None
    names = engines_on_gpu(node, gpu, window.start, window.end)[:MOST_ENGINES]
    scores: dict[str, list[SaturationPoint]] = defaultdict(list)
    if names:
        for point in saturation_series(history(window, ("engine",), {"node": node, "engine": names})):
            scores[point.group["engine"]].append(point)
    figure = gpu_figure(points, scores, window, THROTTLES, before)
    return Drawn(figure, bool(points), tuple(names))


PAGE = Page(
    key="gpu",
    title="GPU",
    template="operator/gpu.html",
    section="fleet",
    part="gpus",
    read=_read,
    glance=partial(_read, glance=True),
    parts={"now": "operator/_gpu_now.html", "runs": "operator/_gpu_engines.html"},
    scope=(),
    every_s=2.0,
)
