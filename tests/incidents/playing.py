"""Plays a simulated fleet into the tables: samples by the agent's parser and events, both through the HTTP edge, the spool and the drain,
then the rows of minutes as late as in production. Time is the fleet's; what is read is what was there at that moment."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import orjson
from django.test import Client

from metering import keys
from metering.agent.telemetry import lines_of
from metering.ingest import local
from metering.ingest.drain import drain
from metering.models import Tenant
from metering.public import create_tenant
from metering.simulator.events import Events
from metering.simulator.fleet import Fleet
from metering.simulator.nodes import SimulatedNode
from metering.simulator.plan import NodeSetup, Plan
from metering.simulator.provider import day_plan
from metering.simulator.script import Change
from metering.telemetry import rollups
from metering.telemetry.spans import Span, minute_of

EVERY_MS = 10_000
NODES = 4
WORKED_UP_AFTER = timedelta(seconds=50)  # a minute's rows are there 40 to 90 seconds after its end
MOST_LINES = 20_000


def lately(lasts_s: int) -> datetime:
    """When a run of that length begins to end about now: what is read as the present has to be young."""
    return minute_of(datetime.now(UTC) - timedelta(seconds=lasts_s))


def plan(start: datetime, changes: Callable[[Plan], Sequence[Change]], *, seed: int = 1, scale: float = 1.0) -> Plan:
    """The first four nodes of the provider's day (32 H100, 15 engines, four models), in regions and with customers of its own, at an even
    load: so nothing happens but what the changes say."""
    own = uuid.uuid4().hex[:6]
    found = day_plan(int(start.timestamp() * 1000), seed=seed, scale=scale).with_first_nodes(NODES)
    nodes = tuple(_own(node, own) for node in found.nodes)
    tenants = tuple(replace(each, key=f"{each.key}-{own}", daily_swing=0.0, weekend=1.0) for each in found.tenants)
    named = replace(found, nodes=nodes, tenants=tenants)
    return replace(named, changes=tuple(changes(named)))


def _own(node: NodeSetup, own: str) -> NodeSetup:
    """All in one region, by which a reading is narrowed to this run."""
    return replace(node, name=f"{node.name}-{own}", region=f"eu-{own}", cluster=f"c-{own}")


class Play:
    """`go(until)` brings the tables to that moment."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fleet = Fleet(plan)
        self._events = Events(self.fleet)
        self._nodes = [SimulatedNode(self.fleet, index) for index in range(len(plan.nodes))]
        self._client = Client()
        self._key = keys.issue_key(None, ["ingest"])
        known = set(Tenant.objects.values_list("key", flat=True))
        for each in plan.tenants:
            if each.key not in known:
                create_tenant(each.key)
        self._worked_up = self.start

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(self.plan.start_ms / 1000, UTC)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.fleet.time_ms / 1000, UTC)

    @property
    def region(self) -> str:
        return self.plan.nodes[0].region

    def go(self, until: datetime) -> None:
        samples: list[bytes] = []
        events: list[bytes] = []
        until_ms = int(until.timestamp() * 1000)
        while self.fleet.time_ms + EVERY_MS <= until_ms:
            finished = self.fleet.step(self.fleet.time_ms + EVERY_MS)
            events += (orjson.dumps(event) for event in self._events.of(finished))
            for node in self._nodes:
                samples += lines_of(node.read())
        self._send("/api/v1/telemetry", samples)
        self._send("/api/v1/events", events)
        drain(local.spool())
        self._work_up()

    def close(self) -> None:
        for node in self._nodes:
            node.close()

    def _send(self, path: str, lines: Iterable[bytes]) -> None:
        for some in _batches(lines):
            body = b"\n".join(some)
            answer = self._client.post(
                path, body, content_type="application/x-ndjson", headers={"Authorization": f"Bearer {self._key}"}
            )
            if answer.status_code != 202:
                raise RuntimeError(f"{path} answered {answer.status_code}: {answer.content[:300]!r}")

    def _work_up(self) -> None:
        until = minute_of(self.now - WORKED_UP_AFTER)
        if until > self._worked_up:
            rollups.write(Span(self._worked_up, until))
            self._worked_up = until


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(lines)
    while some := list(islice(rest, MOST_LINES)):
        yield some
