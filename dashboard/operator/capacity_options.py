"""What the capacity page can be asked in its address: what is drawn, how far ahead, and the what-if."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl

from dashboard.operator.filters import Filters, Option, UnknownFilter
from metering.public import CapacityChange, CapacityFleet, CapacityPool

SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
MOST_TOKENS = 1e15
W_PER_KW = 1000
NUMBER = re.compile(r"([0-9][0-9,_ ]*(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*([kmgbt]?)", re.IGNORECASE)


def number(text: str) -> float:
    """'20T', '1,500,000', '20e12', '2.5'. Raises ValueError."""
    found = NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return float(re.sub(r"[,_ ]", "", found[1])) * SUFFIXES[found[2].lower()]


@dataclass(frozen=True)
class Number(Option):
    least: float = 0.0
    most: float = 1e9
    whole: bool = False
    example: str = "4"

    def read(self, text: str) -> str:
        try:
            value = float(text) if self.least < 0 else number(text)
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise UnknownFilter(f"{self.label}: {text!r} is no number. Write it as {self.example}.")
        if not self.least <= value <= self.most:
            raise UnknownFilter(f"{self.label}: {text} is not between {self.least:g} and {self.most:g}.")
        if self.whole and value != int(value):
            raise UnknownFilter(f"{self.label}: {text!r} is no whole number.")
        return text


MEASURE = Option(
    "measure", "Demand in", {"output": "Output tokens", "input": "Input tokens", "requests": "Requests"}, "output"
)
AHEAD = Option("ahead", "Look ahead", {"7": "7 days", "30": "30 days", "60": "60 days", "90": "90 days"}, "30")
TOKENS = Number("tokens", "Tokens a day", None, most=MOST_TOKENS, example="20T or 1,500,000,000")
GROWTH = Number("growth", "Demand times", None, most=1e6, example="1.5")
NODES = Number("nodes", "Nodes added", None, least=-10_000, most=100_000, whole=True, example="4")
POOL = Option("pool", "Nodes for", None)
MOVE = Option("move", "Move requests of", None)
INTO = Option("into", "Into", None)
SHARE = Number("share", "Share moved, %", None, most=100, example="50")
GPUS = Number("gpus", "With their GPUs", None, most=1, whole=True, example="1")
CAP = Number("cap", "Power cap, kW", None, most=1e7, example="450")
SITE = Option("site", "Cap of cluster", None)
CACHED = Number("cached", "Prefix cache hits, %", None, most=99, example="40")
WHAT_IF = (TOKENS, GROWTH, NODES, POOL, MOVE, INTO, SHARE, GPUS, CAP, SITE, CACHED)
OPTIONS = (MEASURE, AHEAD, *WHAT_IF)


def asked(filters: Filters) -> bool:
    """Whether a what-if was asked for."""
    return any(filters.option(one) for one in (TOKENS, GROWTH, NODES, MOVE, CAP, CACHED))


def change_of(filters: Filters, fleet: CapacityFleet) -> CapacityChange:
    """What names a pool or a cluster that is not there changes nothing."""
    sites = {place_key(site.place): site.place for site in fleet.sites}
    nodes, cap, cached, tokens = (filters.option(one) for one in (NODES, CAP, CACHED, TOKENS))
    pool, site = filters.option(POOL), filters.option(SITE)
    moved, to = filters.option(MOVE), sites.get(filters.option(INTO))
    return CapacityChange(
        nodes={pool: int(float(nodes))} if nodes and pool else {},
        caps_w={sites[site]: number(cap) * W_PER_KW} if cap and site in sites else {},
        factor=number(filters.option(GROWTH) or "1"),
        tokens_a_day=number(tokens) if tokens else None,
        moved=moved if to else "",
        to=to,
        share=number(filters.option(SHARE) or "100") / 100,
        with_gpus=filters.option(GPUS) == "1",
        cached=number(cached) / 100 if cached else None,
    )


def incomplete(filters: Filters) -> str:
    """What a what-if lacks, in words; '' if nothing."""
    if filters.option(NODES) and not filters.option(POOL):
        return "Choose which model the added nodes are for."
    if filters.option(CAP) and not filters.option(SITE):
        return "Choose the cluster whose power cap changes."
    if filters.option(MOVE) and not filters.option(INTO):
        return "Choose the cluster to move the requests to."
    return ""


def form(filters: Filters, fleet: CapacityFleet, horizon: int) -> dict[str, Any]:
    """Variables of the what-if's form."""
    own = {one.name for one in WHAT_IF}
    return {
        "whatif": {one.name: filters.option(one) for one in WHAT_IF},
        "whatif_pools": [(pool.key, pool_name(pool)) for pool in fleet.pools],
        "whatif_sites": [(place_key(site.place), place_name(site.place)) for site in fleet.sites],
        "whatif_kept": [(name, value) for name, value in parse_qsl(filters.query()) if name not in own],
        "whatif_lacks": incomplete(filters),
        "whatif_clear": without(filters, own),
        "horizon": horizon,
    }


def without(filters: Filters, names: "set[str] | Mapping[str, Any]") -> str:
    kept = [f"{name}={value}" for name, value in parse_qsl(filters.query()) if name not in names]
    return f"?{'&'.join(kept)}" if kept else "?"


def pool_name(pool: CapacityPool) -> str:
    where = place_name(pool.place)
    return f"{pool.model} in {where}" if where != NOWHERE else pool.model


NOWHERE = "no named cluster"


def place_name(place: Sequence[str]) -> str:
    return place[1] or place[0] or NOWHERE


def place_key(place: Sequence[str]) -> str:
    return "|".join(place)
