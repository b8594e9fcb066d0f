"""How long pages and charts take on a provider's month: 100 million requests, 30 days of 512 GPUs. One visitor at a time.

Each page is asked for with many different filters, so that nothing that an earlier visitor's reading left behind answers for it, and
then its stream is listened to up to the first reading, as a browser does. A page's time is that from the request to the last byte of its
HTML, which may leave parts to the stream; a reading's, that from opening the stream to all of the page. A chart's time is that of the
query behind it, run alone.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.month import MODELS, REGIONS, TENANTS, TIERS
from bench.month.filling import fill_up
from bench.month.requests import tenant_key
from bench.report import Figure, figure, percentile
from bench.slow_queries import alone, explained
from bench.stack import manage, quiet, setup_django

THIN_OUT = 4  # queries are timed alone with every so many filters
RANGES = ("15m", "1h", "6h", "24h", "7d", "30d", "90d")
NODE, GPU, ENGINE, CLUSTER = "node-007", "GPU-007-3", "engine-1", "cluster-2"
# Pages that are not in the registry, and their addresses; of the registry's, those with something in the path.
OTHERS = {
    "customers": "/customers/",
    "customer": f"/customers/{tenant_key(3)}/",
    "credits": "/credits/",
    "invoices": "/invoices/",
    "margin": "/margin/",
    "prices": "/prices/",
    "quarantine": "/operator/quarantine/",
    "search": "/operator/search/?q=month-00",
}
PATHS = {
    "saturation": "/operator/fleet/",
    "gpu": f"/operator/gpus/{NODE}/{GPU}/",
    "engine": f"/operator/engines/{NODE}/{ENGINE}/",
    "tenant": f"/operator/tenants/{tenant_key(3)}/",
}
IDS = {"gpu": (NODE, GPU), "engine": (NODE, ENGINE), "tenant": (tenant_key(3),)}
# What HTML says of its parts and charts that the stream is still to bring.
STILL_READING = ("here in a moment", '"reading":true', "being read", "\N{HORIZONTAL ELLIPSIS}</td>")
WITHOUT_ADDRESS = {"latency-request", "alert-rule"}  # about one thing that this month may not have


@dataclass
class Times:
    """Milliseconds by page, and what was asked for in the slowest of all."""

    of: dict[str, list[float]] = field(default_factory=dict)
    slowest: tuple[float, str, str] = (0.0, "", "")

    def add(self, page: str, asked: str, ms: float) -> None:
        self.of.setdefault(page, []).append(ms)
        self.slowest = max(self.slowest, (ms, page, asked))

    @property
    def all(self) -> list[float]:
        return [one for times in self.of.values() for one in times]


def measure(data_dir: Path) -> list[Figure]:
    data_dir.mkdir(parents=True, exist_ok=True)
    with quiet(data_dir) as (url, _):
        setup_django()
        for name, seconds in fill_up(data_dir):
            print(f"  {name} filled in {seconds:.0f} s", flush=True)
        with httpx.Client(base_url=url, timeout=60, follow_redirects=True) as client:
            log_in(client, data_dir)
            visits = _visits(client)
            found = _figures("page", visits.pages)
            print(f"  pages: p95 {found[0].value:.0f} ms, {found[0].note}", flush=True)
        whole = figure(
            "page.whole_share", visits.whole / visits.made, note="of all pages, HTML that left nothing to the stream"
        )
        return [*found, whole, *_queries(), *_figures("reading", visits.readings)]


def log_in(client: httpx.Client, data_dir: Path) -> None:
    """As an operator made for this."""
    name = f"bench-{time.time_ns()}"
    password = manage(data_dir, "create_user", name, "--role", "operator")
    client.get("/login/")
    form = {"username": name, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    client.post("/login/", data=form, headers={"Referer": str(client.base_url)}).raise_for_status()


def asked_for() -> Iterator[str]:
    """Query strings, each of its own: every range with each filter, and with two, and compared with before."""
    for number, length in enumerate(RANGES):
        model, region = MODELS[number % len(MODELS)], REGIONS[number % len(REGIONS)]
        tenant, tier = tenant_key(number * 7 % TENANTS), TIERS[number % len(TIERS)]
        for part in (
            "",
            f"&model={model}",
            f"&region={region}",
            f"&tenant={tenant}",
            f"&cluster={CLUSTER}",
            f"&model={model}&region={region}",
            f"&tenant={tenant}&model={model}",
            f"&tier={tier}",
        ):
            yield f"range={length}{part}"
        yield f"range={length}&compare=previous"


def _addresses() -> dict[str, str]:
    from django.urls import reverse

    from dashboard.operator.registry import PAGES

    return {key: PATHS.get(key) or reverse(f"operator-{key}") for key in PAGES if key not in WITHOUT_ADDRESS}


@dataclass
class Visits:
    """Of `made`, so many pages were `whole` before their stream."""

    pages: Times = field(default_factory=Times)
    readings: Times = field(default_factory=Times)
    made: int = 0
    whole: int = 0


def _visits(client: httpx.Client) -> Visits:
    found = Visits()
    for page, path in _addresses().items():
        client.get(path).raise_for_status()  # compiled templates, connections
        ids = "&".join(f"id={one}" for one in IDS.get(page, ()))
        for asked in asked_for():
            ms, html = _took(client, f"{path}?{asked}")
            found.pages.add(page, asked, ms)
            found.made += 1
            found.whole += not any(mark in html for mark in STILL_READING)
            found.readings.add(page, asked, _first_reading(client, f"/operator/live/{page}/?{ids}&{asked}"))
    for page, path in OTHERS.items():
        client.get(path).raise_for_status()
        for _ in range(10):
            found.pages.add(page, "", _took(client, path)[0])
    return found


def _took(client: httpx.Client, path: str) -> tuple[float, str]:
    started = time.perf_counter()
    answer = client.get(path)
    ms = (time.perf_counter() - started) * 1000
    return ms, answer.raise_for_status().text


def _first_reading(client: httpx.Client, path: str) -> float:
    started = time.perf_counter()
    with client.stream("GET", path) as stream:
        stream.raise_for_status()
        for line in stream.iter_lines():
            if line.startswith("event: trouble"):
                raise RuntimeError(f"{path} cannot be read")
            if line.startswith("data: "):
                break
    return (time.perf_counter() - started) * 1000


def _figures(kind: str, times: Times) -> list[Figure]:
    ms, page, asked = times.slowest
    note = f"slowest {ms:.0f} ms: {page}?{asked}; {explained(page, asked, IDS.get(page, ()))}"
    found = [figure(f"{kind}.p95_ms", percentile(times.all, 0.95), unit="ms", note=note)]
    found += [_figure(f"{kind}.{name}_p95_ms", one) for name, one in times.of.items()]
    return found


def _queries() -> list[Figure]:
    """Of all that pages wait for, and by name of these and of those that are taken aside, the slowest first."""
    times: dict[tuple[bool, str], list[float]] = {}
    for page in _addresses():
        for asked in list(asked_for())[::THIN_OUT]:
            for one in alone(page, asked, IDS.get(page, ())):
                times.setdefault((one.waits, one.name), []).append(one.ms)
    ordered = sorted(times, key=lambda key: -percentile(times[key], 0.95))
    waited = [key for key in ordered if key[0]]
    every = [ms for key in waited for ms in times[key]]
    note = f"the slowest is {waited[0][1]}; {len(every)} queries of {len(waited)} kinds"
    found = [figure("chart.p95_ms", percentile(every, 0.95), note=note)]
    for waits, name in ordered:
        found.append(_figure(f"{'chart' if waits else 'aside'}.{name}_p95_ms", times[waits, name]))
    return found


def _figure(name: str, ms: list[float]) -> Figure:
    note = f"p50 {percentile(ms, 0.5):.0f}, most {max(ms):.0f}"
    return figure(name, percentile(ms, 0.95), unit="ms", note=note)
