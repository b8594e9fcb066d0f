"""The page of all GPUs: where the load, the heat and the trouble are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from dashboard import formats
from dashboard.figures import Figure
from dashboard.figures_gpus import fleet_figures
from dashboard.operator.filters import PREVIOUS, Filters, Option
from dashboard.operator.fleet_gpus import HOT_C, gpu_rows, needs_a_look
from dashboard.operator.fleet_links import all_nodes_link
from dashboard.operator.fleet_reading import (
    NODE,
    SCOPE,
    Gpus,
    History,
    engines_now,
    gpus_in,
    gpus_now,
    history,
    together,
    window_of,
)
from dashboard.operator.fleet_shown import STALE
from dashboard.operator.gpus_heat import DENSE_FROM, LEVELS, MEASURES, blocks, busy
from dashboard.operator.pages import Ids, Page, Shown
from metering.public import GpuState, fleet_gpu_series

MEASURE = Option("measure", "Colour by", {key: one.label for key, one in MEASURES.items()}, "score")
GROUPS = {"cluster": "Region and cluster", "region": "Region", "name": "Product"}
BY = Option("by", "Grouped by", GROUPS, "cluster")


@dataclass(frozen=True)
class Summary:
    """GPUs of one product in one cluster, as text."""

    product: str
    place: str
    gpus: str
    nodes: str
    silent: int
    sm: str
    memory: str
    power: str
    power_share: str
    hottest: str
    hot: bool
    throttled: int
    xids: str


def _read(filters: Filters, ids: Ids, *, glance: bool = False) -> Shown:
    # Of a model, history is that of the GPUs that run it now.
    past = History(("gpus-history", filters), filters, now=glance)
    gpus_read, engines_read = partial(gpus_now, glance=glance), partial(engines_now, glance=glance)
    if filters.model:
        everything, engines = together(gpus_read, engines_read)
        gpus = gpus_in(everything, engines.found, filters)
        figures = past.read(lambda: _drawn(filters, gpus))
    else:
        everything, engines, figures = together(
            gpus_read,
            engines_read,
            lambda: past.read(lambda: _drawn(filters, None)),
        )
        gpus = gpus_in(everything, engines.found, filters)
    measure, node = MEASURES[filters.option(MEASURE)], filters.option(NODE)
    whole = [one for one in gpus.found if not one.mig]
    look = gpus.found if node else [one for one in gpus.found if needs_a_look(one, gpus.at)]
    runs = {} if filters.option(MEASURE) != "score" else busy(engines.found)
    simulated = [one.simulated for one in gpus.found]
    context = {
        "node": node,
        "all_nodes": all_nodes_link(filters),
        "others": bool(everything.found or everything.gone),
        "blocks": blocks(gpus, runs, measure, filters.option(BY), filters),
        "measure": measure,
        "levels": range(LEVELS),
        "dense": len(whole) + len(gpus.gone) >= DENSE_FROM,
        "state": _state(gpus, whole),
        "summary": _summary(whole, gpus.at),
        "rows": gpu_rows(look, gpus.at, filters),
        "rows_in_all": len(look),
        "gone": [(one, formats.moment(one.until)) for one in gpus.gone[:MOST_GONE]],
        "gone_in_all": len(gpus.gone),
        "simulated": any(simulated),
        "all_simulated": all(simulated),
    }
    return Shown(gpus.at, context, figures or fleet_figures(None, window_of(filters, gpus.at)))


MOST_GONE = 16


def _state(gpus: Gpus, whole: Sequence[GpuState]) -> str:
    """One sentence."""
    if not whole and not gpus.gone:
        return ""
    stale = sum(gpus.at - one.at > STALE for one in whole)
    throttled = sum(bool(one.throttle) for one in whole)
    errors = sum(bool(one.xid_errors) for one in whole)
    hot = sum((one.temperature_c or 0) >= HOT_C for one in whole)
    said = [
        f"{count} {text}"
        for count, text in (
            (len(gpus.gone), "gone within the last day"),
            (stale, "without a sample for a minute"),
            (throttled, "throttled"),
            (errors, "with XID errors"),
            (hot, f"at {HOT_C:.0f} °C or more"),
        )
        if count
    ]
    nodes = len({one.node for one in whole})
    head = f"{formats.counted(len(whole), 'GPU')} on {formats.counted(nodes, 'node')}"
    return f"{head}: {', '.join(said)}." if said else f"{head}, none throttled, hot, silent or with XID errors."


def _summary(gpus: Sequence[GpuState], now: datetime) -> list[Summary]:
    found: dict[tuple[str, str, str], list[GpuState]] = defaultdict(list)
    for one in gpus:
        found[one.name, one.region, one.cluster].append(one)
    return [_summed(*key, found[key], now) for key in sorted(found)]


def _summed(name: str, region: str, cluster: str, gpus: Sequence[GpuState], now: datetime) -> Summary:
    power = [one.power_w for one in gpus if one.power_w is not None]
    limited = [(one.power_w, one.power_limit_w) for one in gpus if one.power_w is not None and one.power_limit_w]
    stored = [(one.memory_used_bytes, one.memory_total_bytes) for one in gpus if one.memory_total_bytes]
    active = [one.sm_active for one in gpus if one.sm_active is not None]
    heat = max((one.temperature_c for one in gpus if one.temperature_c is not None), default=None)
    errors = [one.xid_errors for one in gpus if one.xid_errors is not None]
    return Summary(
        product=name or formats.NOTHING,
        place=", ".join(filter(None, (region, cluster))) or formats.NOTHING,
        gpus=formats.whole(len(gpus)),
        nodes=formats.whole(len({one.node for one in gpus})),
        silent=sum(now - one.at > STALE for one in gpus),
        sm=_percent(sum(active), len(active)),
        memory=_percent(sum(used or 0 for used, _ in stored), sum(total for _, total in stored)),
        power=f"{sum(power) / 1000:,.1f}" if power else formats.NOTHING,
        power_share=_percent(sum(used for used, _ in limited), sum(limit for _, limit in limited)),
        hottest=formats.NOTHING if heat is None else f"{heat:.0f}",
        hot=heat is not None and heat >= HOT_C,
        throttled=sum(bool(one.throttle) for one in gpus),
        xids=formats.whole(sum(errors)) if errors else formats.NOTHING,
    )


def _percent(part: float, whole: float) -> str:
    return f"{part / whole * 100:.0f} %" if whole else formats.NOTHING


def _drawn(filters: Filters, gpus: Gpus | None) -> dict[str, Figure]:
    """`gpus`: of these alone."""
    window = window_of(filters, datetime.now(UTC))
    only: dict[str, str | Sequence[str]] = {
        name: value for name in ("region", "cluster") if (value := getattr(filters, name))
    }
    if node := filters.option(NODE):
        only["node"] = node
    if gpus is not None:
        only |= {
            "node": sorted({one.node for one in gpus.found}) or [""],
            "gpu": sorted({one.gpu for one in gpus.found}) or [""],
        }
    now = fleet_gpu_series(history(window, (), only))
    before = fleet_gpu_series(history(window.previous, (), only)) if filters.compare == PREVIOUS else None
    return fleet_figures(now, window, before)


PAGE = Page(
    key="gpus",
    title="GPUs",
    template="operator/gpus.html",
    section="fleet",
    read=_read,
    glance=partial(_read, glance=True),
    parts={
        "state": "operator/_gpus_state.html",
        "heat": "operator/_gpus_heat.html",
        "summary": "operator/_gpus_summary.html",
        "look": "operator/_gpus_look.html",
    },
    options=(MEASURE, BY, NODE),
    scope=SCOPE,
    every_s=2.0,
)
