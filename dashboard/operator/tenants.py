"""The page of all customers: what each uses, of what share of the capacity, the latency it sees, what it costs and brings in."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from billing.contracts import MarginReport
from dashboard import figures_tenants as figures
from dashboard.figures import Figure
from dashboard.operator import latency_read, neighbours, tenants_read, tenants_shown
from dashboard.operator.aside import ASIDE
from dashboard.operator.filters import Filters, Option, UnknownFilter
from dashboard.operator.pages import Ids, Page, Shown
from dashboard.operator.tenants_read import Counted
from dashboard.operator.together import InTime, nothing, together
from metering.public import TenantLatency, TenantStep, tenant_latencies, tenant_names

LENGTH = 100
TRUE_S = 120.0  # what is read aside, until a newer reading is there
MOST_PAGES = 100_000
SORTS = {
    "tokens": "Tokens",
    "requests": "Requests",
    "growth": "Growth",
    "errors": "Errors",
    "gpu": "Share of GPU time",
    "energy": "Share of energy",
    "revenue": "Revenue",
    "margin": "Margin",
    "name": "Name",
}
BY_MONEY = frozenset({"revenue", "margin"})  # for these, what everybody brings in has to be known first


@dataclass(frozen=True)
class PageNumber(Option):
    def read(self, text: str) -> str:
        if not text.isdecimal() or not 1 <= int(text) <= MOST_PAGES:
            raise UnknownFilter(f"There is no page {text!r}.")
        return text


SORT = Option("sort", "Sort by", SORTS, "tokens")
FIND = Option("find", "Find a customer", None)
NUMBER = PageNumber("page", "Page", None, "1")


@dataclass(frozen=True)
class Slow:
    """What takes longer than a page may. `money` None: nothing is settled in the range. `latencies`: of all that were asked for."""

    latencies: dict[str, TenantLatency]
    money: MarginReport | None


def _read(filters: Filters, ids: Ids) -> Shown:
    now = datetime.now(UTC)
    found = tenants_read.counted(filters, tenants_read.settled_hours(filters, now), now)()
    slow = ASIDE.latest(
        ("tenants-slow", filters), tenants_read.slow_fresh(filters), TRUE_S, lambda: _slow(filters, found)
    )
    near = neighbours.shown(neighbours.neighbours(filters, now))
    tokens = tenants_read.token_steps(filters, found, now)
    return Shown(now, _context(filters, found, slow, near), _figures(filters, found, tokens, now, whole=True))


def _slow(filters: Filters, found: Counted) -> Slow:
    """Of everybody where money decides on the order, and otherwise of those who are on the page."""
    everybodys = tenants_read.money(found.hours) if filters.option(SORT) in BY_MONEY else None
    shown = _on_page(filters, _keys(filters, found, everybodys))
    money, latencies = together(
        lambda: everybodys or (tenants_read.money(found.hours, shown) if shown else None),
        lambda: tenant_latencies(filters.scope, found.window, shown),
    )
    return Slow({key: latencies.get(key, TenantLatency()) for key in shown}, money)


def _glance(filters: Filters, ids: Ids) -> Shown:
    """Without latency, money, neighbours and the share of capacity over time; without rows where money decides on their order; and without
    what is not there in time."""
    now, gather = datetime.now(UTC), InTime()
    hours = tenants_read.settled_hours(filters, now)
    _, found = gather(nothing, tenants_read.counted(filters, hours, now))
    if found is None:
        empty = Counted(tenants_read.window_of(filters, now), hours, (), ())
        context = _context(filters, empty, None, []) | {"tiles": [], "ever": latency_read.ever(), "counting": True}
        return Shown(now, context, _figures(filters, empty, None, now, whole=False))
    _, tokens = gather(nothing, lambda: tenants_read.token_steps(filters, found, now))
    return Shown(now, _context(filters, found, None, []), _figures(filters, found, tokens, now, whole=False))


def _keys(filters: Filters, found: Counted, money: MarginReport | None) -> list[str]:
    rows = {row.tenant: row for row in money.rows if not row.label} if money else {}
    place = tenants_read.order(filters.option(SORT), found, rows)
    return tenants_read.listed(found, filters.option(FIND).strip(), place)


def _number(filters: Filters, keys: list[str]) -> int:
    """The page, or the last one if that is beyond it."""
    return max(min(int(filters.option(NUMBER)), -(-len(keys) // LENGTH)), 1)


def _on_page(filters: Filters, keys: list[str]) -> list[str]:
    first = (_number(filters, keys) - 1) * LENGTH
    return keys[first : first + LENGTH]


def _context(filters: Filters, found: Counted, slow: Slow | None, near: list[neighbours.Shown]) -> dict[str, Any]:
    unordered = slow is None and filters.option(SORT) in BY_MONEY
    keys = [] if unordered else _keys(filters, found, slow.money if slow else None)
    shown = _on_page(filters, keys)
    lines = tenants_shown.lines(slow.money) if slow else {}
    known = tenants_shown.Known(
        usages={one.tenant: one for one in found.usages},
        drawn=found.drawn,
        gpu_hours=sum(one.gpu_hours for one in found.energy),
        kwh=sum(one.kwh for one in found.energy),
        names=tenant_names(shown) if shown else {},
        latencies=slow.latencies if slow else {},
        lines=lines,
    )
    number, last = _number(filters, keys), -(-len(keys) // LENGTH)
    return {
        "rows": tenants_shown.rows(shown, known),
        "reading": slow is None,
        "currency": tenants_shown.currency(lines),
        "tiles": tenants_shown.tiles(found.usages, found.energy),
        "simulated": any(one.simulated for one in found.energy),
        "ever": bool(found.usages),
        "window": found.window,
        "hours": found.hours if found.energy else None,
        "sorted_by": SORTS[filters.option(SORT)].lower(),
        "find": filters.option(FIND),
        "kept": [pair for pair in parse_qsl(filters.query()) if pair[0] not in {FIND.name, NUMBER.name}],
        "count": len(keys),
        "first": (number - 1) * LENGTH + 1,
        "last": (number - 1) * LENGTH + len(shown),
        "before": _page_link(filters, number - 1) if number > 1 else "",
        "after": _page_link(filters, number + 1) if number < last else "",
        "neighbours": near,
    }


def _page_link(filters: Filters, number: int) -> str:
    pairs = [pair for pair in parse_qsl(filters.query()) if pair[0] != NUMBER.name]
    return urlencode([*pairs, (NUMBER.name, str(number))] if number > 1 else pairs)


def _figures(
    filters: Filters, found: Counted, tokens: list[TenantStep] | None, now: datetime, *, whole: bool
) -> dict[str, Figure]:
    """`tokens` None: not read yet. `whole`: also what has to be read first."""
    window, hours = found.window, found.hours
    step, by = tenants_read.step_of(filters, window, now), tenants_read.energy_step(hours)
    known = whole or tenants_read.capacity_at_hand(filters)
    usage = figures.tokens_figure(tokens or [], tenants_read.steps(window.start, window.end, step), step, now)
    points = tenants_read.capacity(filters, found) if known else []
    at = tenants_read.steps(hours.start, hours.end, by) if points else []
    shares = figures.capacity_figure(points, at, by)
    return {
        "chart-tokens": usage | {"reading": True} if tokens is None else usage,
        "chart-capacity": shares if known else shares | {"reading": True},
    }


PAGE = Page(
    key="tenants",
    title="Tenants",
    template="operator/tenants.html",
    section="tenants",
    read=_read,
    glance=_glance,
    parts={
        "tenants-state": "operator/_tenants_state.html",
        "tenants-tiles": "operator/_tiles.html",
        "tenants-neighbours": "operator/_neighbours.html",
        "tenants-table": "operator/_tenants_table.html",
    },
    options=(SORT, FIND, NUMBER),
    ranges=("1h", "6h", "24h", "7d", "30d", "90d"),
    every_s=2.0,
    compares=False,
)
