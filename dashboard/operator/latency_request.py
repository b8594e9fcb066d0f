"""The page of one request: where its time went, and what its engine and GPUs were doing meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.urls import reverse

from dashboard import figures_latency, formats
from dashboard.figures import Figure
from dashboard.operator import latency_story
from dashboard.operator.filters import Filters
from dashboard.operator.pages import Ids, NotThere, Page, Shown
from dashboard.operator.shelf import SHELF
from metering.public import (
    EnginePoint,
    FleetRange,
    GpuPoint,
    LivePoint,
    LiveScope,
    RequestStory,
    SaturationPoint,
    fleet_engine_series,
    fleet_gpu_series,
    live_series,
    request_story,
    saturation_series,
    tenant,
)

FRESH_S = 4.5  # minutes are worked up half a minute after they end
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AROUND = timedelta(minutes=10)
MOST_STEPS = 120
MOST_LISTED = 15
MOST_GPUS = 2
READINGS = (
    ("kv_cache_usage", "KV cache"),
    ("dram_active", "memory bandwidth"),
    ("tensor_active", "tensor cores"),
    ("power_share", "power of the limit"),
    ("power_throttle", "throttled by power"),
    ("thermal_throttle", "throttled by heat"),
)


@dataclass(frozen=True)
class Surroundings:
    """The engine and GPUs of a request from some minutes before it to some after, in `step`s."""

    steps: list[datetime]
    step: timedelta
    engine: list[EnginePoint]
    saturation: list[SaturationPoint]
    gpus: list[GpuPoint]


@dataclass(frozen=True)
class Found:
    story: RequestStory
    customer: str
    usual: LivePoint | None
    around: Surroundings


def _read(filters: Filters, ids: Ids) -> Shown:
    found = SHELF.kept(("latency-request", ids), FRESH_S, lambda: _find(ids))
    if found is None:
        raise NotThere(
            "There is no request of this customer, time and key. It may have been reported anew with another time."
        )
    return Shown(datetime.now(UTC), _context(found, filters), _figures(found))


def _find(ids: Ids) -> Found | None:
    key, at_ms, identity = ids
    at = _moment(at_ms)
    story = request_story(key, at, identity) if at else None
    if story is None:
        return None
    hour = story.time.replace(minute=0, second=0, microsecond=0)
    usual = live_series(LiveScope(model=story.model), hour, HOUR, hour + HOUR)
    known = tenant(story.tenant)
    return Found(story, known.name if known else "", usual[0] if usual else None, _around(story))


def _moment(text: str) -> datetime | None:
    """Of the milliseconds in an address; None for what is no time that a request may have."""
    if not text.isascii() or not text.isdigit() or len(text) > 13:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))


def _around(story: RequestStory) -> Surroundings:
    begin = ((story.started or story.time) - AROUND).replace(second=0, microsecond=0)
    end = (story.time + AROUND).replace(second=0, microsecond=0) + MINUTE
    step = MINUTE * max(-(-((end - begin) // MINUTE) // MOST_STEPS), 1)
    steps = [begin + number * step for number in range(-((begin - end) // step))]
    if not story.node or not story.engine:
        return Surroundings(steps, step, [], [], [])
    of_engine = FleetRange(begin, end, step, only={"node": story.node, "engine": story.engine})
    gpus = FleetRange(begin, end, step, only={"node": story.node, "gpu": story.gpus}) if story.gpus else None
    return Surroundings(
        steps,
        step,
        fleet_engine_series(of_engine),
        saturation_series(of_engine, readings=True),
        fleet_gpu_series(gpus) if gpus else [],
    )


def _context(found: Found, filters: Filters) -> dict[str, Any]:
    story, around = found.story, found.around
    inside = [at for at in around.steps if latency_story.during(story, at, around.step)]
    told: dict[str, Any] = {"engine": around.engine, "saturation": around.saturation, "gpus": around.gpus}
    listed = latency_story.minutes(story, around.steps, around.step, **told)
    carried = filters.carried()
    back = reverse("operator-latency")
    return {
        "story": story,
        "customer": found.customer,
        "back": f"{back}?{carried}" if carried else back,
        "sentences": latency_story.sentences(
            story, found.usual, _within(around.saturation, inside), _within(around.engine, inside)
        ),
        "doubts": latency_story.doubts(story),
        "time_parts": latency_story.parts(story),
        "whole": latency_story.duration(story.e2e_ms) if story.e2e_ms is not None else "",
        "compared": latency_story.compared(story, found.usual),
        "minutes": _nearest(listed),
        "step": formats.span(around.step),
        "facts": _facts(story),
        "attributes": sorted(story.attributes.items()),
    }


def _within(points: Sequence[Any], steps: Sequence[datetime]) -> list[Any]:
    chosen = set(steps)
    return [point for point in points if point.start in chosen]


def _nearest(listed: list[latency_story.Minute]) -> list[latency_story.Minute]:
    """Those of the request and some around it."""
    inside = [place for place, one in enumerate(listed) if one.during]
    if not inside:
        return listed[:MOST_LISTED]
    spare = max((MOST_LISTED - len(inside)) // 2, 2)
    return listed[max(inside[0] - spare, 0) : inside[-1] + spare + 1]


def _facts(story: RequestStory) -> list[tuple[str, str]]:
    known = [
        ("Finished", formats.moment(story.time)),
        ("Started", formats.moment(story.started) if story.started else ""),
        ("Id", story.id),
        ("Source", story.source),
        ("Project", story.project),
        ("API key", story.api_key_id),
        ("End user", story.end_user),
        ("Operation", f"{story.operation}{', streamed' if story.stream else ''}"),
        ("Tier", story.tier),
        ("Finish", story.finish_reason),
        ("Region", story.region),
        ("Cluster", story.cluster),
        ("Node", story.node),
        ("Engine", story.engine),
        ("GPUs", _gpus(story.gpus)),
        ("Input tokens", _tokens(story)),
        ("Output tokens", _output(story)),
    ]
    return [(name, text) for name, text in known if text]


def _gpus(uuids: Sequence[str]) -> str:
    """Two of them by name: a request may run on a whole node's."""
    named = ", ".join(uuids[:MOST_GPUS])
    return f"{named} and {len(uuids) - MOST_GPUS} more" if len(uuids) > MOST_GPUS else named


def _tokens(story: RequestStory) -> str:
    text = formats.whole(story.input_tokens)
    if story.input_tokens:
        text += f"; {formats.percent(story.cached_input_tokens / story.input_tokens)} from the cache"
    return text + (f"; {formats.whole(story.cache_write_tokens)} written to it" if story.cache_write_tokens else "")


def _output(story: RequestStory) -> str:
    reasoning = f"; {formats.whole(story.reasoning_tokens)} of them reasoning" if story.reasoning_tokens else ""
    return formats.whole(story.output_tokens) + reasoning


def _figures(found: Found) -> dict[str, Figure]:
    around, story = found.around, found.story
    span = (story.started or story.time, story.time)
    return {
        "chart-load": figures_latency.load_figure(around.engine, around.steps, span),
        "chart-readings": figures_latency.readings_figure(around.saturation, around.steps, span, READINGS),
        "chart-gpus": figures_latency.gpus_figure(around.gpus, around.steps, span),
    }


PAGE = Page(
    key="latency-request",
    title="Request",
    template="operator/latency_request.html",
    section="latency",
    read=_read,
    parts={"request": "operator/_latency_request.html", "minutes": "operator/_latency_minutes.html"},
    scope=(),
    ranges=(),
    every_s=5.0,
)
