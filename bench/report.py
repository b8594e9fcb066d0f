"""What a run measured: printed as a table, written to bench/out/latest.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

OUT = Path(__file__).parent / "out"

# name -> (unit, target, whether higher is better); the targets are those the design sets for one 2-core machine.
TARGETS: dict[str, tuple[str, float, bool]] = {
    "ingest.arrow_events_per_s": ("events/s", 231_000, True),
    "ingest.ndjson_events_per_s": ("events/s", 100_000, True),
    "ingest.cloudevents_events_per_s": ("events/s", 60_000, True),
    "ingest.ratio_to_engine": ("ratio", 0.5, True),
    "ingest.ack_p99_ms": ("ms", 100, False),
    "ingest.freshness_p99_s": ("s", 2, False),
    "ingest.lost": ("events", 0, False),
    "ingest.doubled": ("events", 0, False),
    "query.usage_p95_ms": ("ms", 100, False),
    "page.p95_ms": ("ms", 100, False),
    "chart.p95_ms": ("ms", 100, False),
    "streams.web_cores": ("cores", 1, False),
    "streams.web_growth_mb": ("MB", 10, False),
    "streams.late_p95_s": ("s", 2, False),
    "billing.draft_10k_tenants_s": ("s", 10, False),
    "billing.audit_s": ("s", 20, False),
    "agent.cpu_percent": ("%", 1, False),
    "agent.lost": ("spans", 0, False),
}


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    target: float | None
    met: bool | None
    note: str = ""


def figure(name: str, value: float, *, unit: str = "", note: str = "") -> Figure:
    """A measured value beside its target; a name without a target is shown for information."""
    if name not in TARGETS:
        return Figure(name, round(value, 3), unit, None, None, note)
    known_unit, target, higher = TARGETS[name]
    return Figure(name, round(value, 3), known_unit, target, value >= target if higher else value <= target, note)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


def publish(figures: list[Figure]) -> None:
    OUT.mkdir(exist_ok=True)
    (OUT / "latest.json").write_text(json.dumps([asdict(found) for found in figures], indent=2) + "\n")
    print(f"\n{'figure':42} {'value':>14} {'unit':10} {'target':>10}  met")
    for found in figures:
        target = "" if found.target is None else f"{found.target:,.10g}"
        met = {True: "yes", False: "NO", None: ""}[found.met]
        print(f"{found.name:42} {found.value:>14,.10g} {found.unit:10} {target:>10}  {met}  {found.note}")
