"""One replay: a trace's requests as events, in batches, at the trace's pace or as fast as the server takes them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from tqdm import tqdm

from metering.replay.progress import Acknowledged, ReplayState
from metering.replay.sender import Sender, ndjson
from metering.replay.trace import Trace, TraceRequest

BATCH_EVENTS = 2_000
PACED_BATCH_S = 0.25  # at a given speed: what falls due within this long travels together
SHOWN_REJECTS = 5


@dataclass(frozen=True)
class Plan:
    """What is replayed. `speed` is trace seconds per second; None: as fast as the server takes it."""

    trace: Trace
    tenant: str
    model: str
    start: datetime | None = None
    speed: float | None = None
    limit: int | None = None  # requests
    duration_s: float | None = None  # of trace time
    origin: datetime = field(init=False)
    source: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", self.start or self.trace.origin())
        # Rows are numbered per file: the file's digest keeps two traces of one tenant apart.
        object.__setattr__(self, "source", f"replay:{self.trace.digest()[:16]}")

    def tenants(self) -> list[str]:
        return [self.tenant_of(client) for client in self.trace.clients()] or [self.tenant]

    def tenant_of(self, client: str) -> str:
        return f"{self.tenant}-{client}" if client else self.tenant

    def state_parts(self, url: str) -> tuple[str, ...]:
        return (url, self.trace.format, self.source, self.tenant, self.model, self.origin.isoformat())

    def total(self) -> int | None:
        """None where it is not known before the end."""
        if self.duration_s is not None:
            return self.limit
        return min(self.trace.total(), self.limit or 2**63)

    def requests(self) -> Iterator[TraceRequest]:
        end_ms = float("inf") if self.duration_s is None else self.duration_s * 1000
        within = (request for request in self.trace.requests() if request.offset_ms < end_ms)
        return islice(within, self.limit)

    def event(self, request: TraceRequest) -> dict[str, Any]:
        """The canonical event. Its time is the arrival: no trace says how long a request took, so latencies stay null."""
        moment = self.origin + timedelta(milliseconds=request.offset_ms)
        attributes = {"trace": self.trace.format}
        if self.trace.modelled:
            attributes["modelled"] = self.trace.modelled
        return {
            "id": f"{self.trace.format}:{request.row}",
            "source": self.source,
            "time": moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "tenant": self.tenant_of(request.client),
            "model": self.model,
            "input_tokens": request.input_tokens,
            "cached_input_tokens": request.cached_input_tokens,
            "output_tokens": request.output_tokens,
            "reasoning_tokens": request.reasoning_tokens,
            "attributes": attributes,
        }


@dataclass
class Totals:
    """Of all rows of the trace that the server has acknowledged, in this run and in the one that it goes on with."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    accepted: int = 0
    rejected: int = 0
    first_rejects: list[str] = field(default_factory=list)

    def add(self, request: TraceRequest) -> None:
        self.requests += 1
        self.input_tokens += request.input_tokens
        self.output_tokens += request.output_tokens
        self.cached_input_tokens += request.cached_input_tokens

    def line(self) -> str:
        names = ("requests", "input_tokens", "output_tokens", "cached_input_tokens", "accepted", "rejected")
        return " ".join(f"{name}={getattr(self, name)}" for name in names)


def replay(plan: Plan, sender: Sender, state: ReplayState, *, bar: "tqdm[Any]") -> Totals:
    """Send what the state does not say is acknowledged. Raises TraceError or SendFailed; `state` then says how far it came."""
    done = state.read()
    totals = Totals(accepted=done.accepted, rejected=done.rejected)
    requests = plan.requests()
    for request in islice(requests, done.rows):
        totals.add(request)
    bar.update(totals.requests)
    for batch in _batches(requests, plan.speed):
        receipt = sender.send(ndjson(map(plan.event, batch)))
        for request in batch:
            totals.add(request)
        totals.accepted += receipt.accepted
        totals.rejected += len(batch) - receipt.accepted  # the receipt lists the first thousand only
        for reject in receipt.rejected[: SHOWN_REJECTS - len(totals.first_rejects)]:
            totals.first_rejects.append(_reject_line(plan, batch, reject))
        state.write(Acknowledged(totals.requests, totals.accepted, totals.rejected))
        bar.update(len(batch))
    state.clear()
    return totals


def _batches(requests: Iterator[TraceRequest], speed: float | None) -> Iterator[list[TraceRequest]]:
    if speed is None:
        while batch := list(islice(requests, BATCH_EVENTS)):
            yield batch
        return
    batch = []
    began: float | None = None
    batch_due = 0.0
    for request in requests:
        due = request.offset_ms / 1000 / speed
        if began is None:  # the first request that is sent, which after a resume is not the trace's first
            began = time.monotonic() - due
        if batch and (len(batch) >= BATCH_EVENTS or due > batch_due + PACED_BATCH_S):
            yield batch
            batch = []
        time.sleep(max(began + due - time.monotonic(), 0))
        if not batch:
            batch_due = due
        batch.append(request)
    if batch:
        yield batch


def _reject_line(plan: Plan, batch: list[TraceRequest], reject: dict[str, Any]) -> str:
    index = reject.get("index")
    row = batch[index].row if isinstance(index, int) and 0 <= index < len(batch) else "?"
    return f"row {row} of {plan.trace.format}: {reject.get('field')}: {reject.get('reason')}: {reject.get('message')}"
