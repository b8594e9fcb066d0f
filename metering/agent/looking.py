"""One look at everything, without sending it: what `--print` shows and `--check` judges."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from metering.agent.building import Sources, sources_of
from metering.agent.clock import Clock, ServerClock
from metering.agent.config import Config
from metering.agent.gpus_seen import GpusSeen
from metering.agent.samples import EngineSample, Sample
from metering.agent.telemetry import PATH
from tallywatt.answers import Answer
from tallywatt.options import Options
from tallywatt.threads import post
from tallywatt.wire import NDJSON_TYPE, Body

# Activities on Hopper and later are counted between two readings.
BETWEEN_READINGS_S = 1.0
ANSWER_WITHIN_S = 5.0
NOTHING = b"\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """`silent`: labels of sources that gave nothing, or an engine that does not answer."""

    samples: tuple[Sample, ...]
    problems: tuple[str, ...]
    silent: tuple[str, ...]


def look(config: Config, clock: Clock) -> Seen:
    """Read every source twice, a second apart; the second reading counts."""
    sources = sources_of(config)
    try:
        for source in sources.all:
            source.read(clock.now_ms())
        time.sleep(BETWEEN_READINGS_S)
        return _seen(config, sources, clock)
    finally:
        sources.close()


def _seen(config: Config, sources: Sources, clock: Clock) -> Seen:
    gpus = GpusSeen([engine.spec for engine in config.engines])
    samples: list[Sample] = []
    problems: list[str] = []
    silent: list[str] = []
    for source in sources.all:
        found = gpus.complete(source.read(clock.now_ms()))
        samples += found
        problems += [f"{source.label}: {problem}" for problem in source.problems()]
        if _is_silent(found):
            silent.append(source.label)
    return Seen(tuple(samples), (*problems, *gpus.problems), tuple(silent))


def _is_silent(samples: Sequence[Sample]) -> bool:
    return not any(sample.up if isinstance(sample, EngineSample) else True for sample in samples)


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says to this agent. `problem` is None if it would take samples."""

    problem: str | None
    clock: ServerClock


def ask(config: Config) -> Server:
    """Post an empty line, with the key: whoever may send is told that there was nothing in it."""
    options = Options(url=config.url, key=config.key, outbox=None, path=PATH, timeout_s=ANSWER_WITHIN_S)
    clock = ServerClock()
    with httpx.Client(**options.http) as http:
        began = time.monotonic()
        answer = post(http, options.endpoint, Body(NOTHING, {"Content-Type": NDJSON_TYPE}))
        clock.seen(answer, time.monotonic() - began)
    return Server(_objection(answer), clock)


def _objection(answer: Answer) -> str | None:
    if answer.status == 202 or (answer.status in {400, 422} and answer.is_problem):
        return None
    if answer.status in {401, 403}:
        return f"{answer}: an operator's API key with the scope ingest is needed"
    return str(answer)
