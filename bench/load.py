"""The load generator: `python -m bench.load URL KEY FORMAT SECONDS EVENTS_PER_REQUEST CONNECTIONS [RATE]`, a process of its own.

Sends batches of made events for a bounded time (RATE: events/s in all, 0 = as fast as it is answered) and prints one line of
JSON: {"sent", "requests", "seconds", "ack_ms": [...]}. Bodies are put together before the clock starts; only ids change.
"""

import http.client
import json
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

MARK = "@@@@@@@@@@@@"  # replaced by a number of the same length, unique per event's batch

CONTENT_TYPES = {"ndjson": "application/x-ndjson", "cloudevents": "application/cloudevents-batch+json"}


def template(kind: str, run: str, events: int) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    rows = []
    for index in range(events):
        data = {
            "model": f"model-{index % 4}",
            "operation": "chat",
            "tier": "standard",
            "input_tokens": 500 + index % 1000,
            "cached_input_tokens": index % 300,
            "output_tokens": 50 + index % 450,
            "ttft_ms": 20 + index % 80,
            "e2e_ms": 900 + index % 4000,
            "region": "eu-west",
            "node": f"node-{index % 16}",
        }
        identity = f"{run}-{MARK}-{index}"
        if kind == "ndjson":
            rows.append(json.dumps({"id": identity, "time": now} | data))
        else:
            event = {"specversion": "1.0", "type": "tallywatt.request", "source": "bench", "id": identity, "time": now}
            rows.append(json.dumps(event | {"data": data}))
    return "\n".join(rows).encode() if kind == "ndjson" else f"[{','.join(rows)}]".encode()


@dataclass(frozen=True)
class Plan:
    """What every sender of a run does: `pause_s` between its requests, 0 to send as fast as it is answered."""

    url: str
    key: str
    kind: str
    body: bytes
    events: int
    until: float
    pause_s: float


class Sender(threading.Thread):
    """One connection."""

    def __init__(self, plan: Plan, lane: int) -> None:
        super().__init__()
        parts = urlsplit(plan.url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {plan.key}", "Content-Type": CONTENT_TYPES[plan.kind]}
        self.plan, self.lane = plan, lane
        self.sent = 0
        self.ack_ms: list[float] = []
        self.failure = ""

    def run(self) -> None:
        number = self.lane * 1_000_000
        due = time.monotonic()
        while time.monotonic() < self.plan.until and not self.failure:
            if self.plan.pause_s:
                due += self.plan.pause_s
                time.sleep(max(0.0, due - time.monotonic()))
            number += 1
            self._send(self.plan.body.replace(MARK.encode(), f"{number:012d}".encode()))

    def _send(self, body: bytes) -> None:
        started = time.perf_counter()
        self.connection.request("POST", "/api/v1/events", body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status == 429:
            time.sleep(float(answer.headers.get("Retry-After", "1")))
            return
        if answer.status not in (202, 204):
            self.failure = f"{answer.status}: {text[:300]!r}"
            return
        self.ack_ms.append((time.perf_counter() - started) * 1000)
        self.sent += self.plan.events


def main(arguments: list[str]) -> None:
    url, key, kind = arguments[:3]
    seconds, events, connections = float(arguments[3]), int(arguments[4]), int(arguments[5])
    rate = float(arguments[6]) if len(arguments) > 6 else 0
    body = template(kind, f"{kind}-{time.time_ns()}", events)
    started = time.monotonic()
    plan = Plan(url, key, kind, body, events, started + seconds, connections * events / rate if rate else 0.0)
    senders = [Sender(plan, lane) for lane in range(connections)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    failures = [sender.failure for sender in senders if sender.failure]
    if failures:
        sys.exit(f"the server refused: {failures[0]}")
    acknowledged = [value for sender in senders for value in sender.ack_ms]
    result = {
        "sent": sum(sender.sent for sender in senders),
        "seconds": time.monotonic() - started,
        "ack_ms": acknowledged,
    }
    print(json.dumps(result | {"requests": len(acknowledged)}))


if __name__ == "__main__":
    main(sys.argv[1:])
