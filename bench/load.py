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
from urllib.parse import urlsplit

from bench.bodies import CONTENT_TYPES, MARK, template


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
        self.held_up = 0  # answers of 429
        self.failure = ""

    def run(self) -> None:
        number = self.lane * 1_000_000
        due = time.monotonic()
        while time.monotonic() < self.plan.until and not self.failure:
            if self.plan.pause_s:
                due += self.plan.pause_s
                time.sleep(max(0.0, due - time.monotonic()))
            number += 1
            self._send(self.plan.body.replace(MARK, b"%012d" % number))

    def _send(self, body: bytes) -> None:
        started = time.perf_counter()
        self.connection.request("POST", "/api/v1/events", body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status == 429:
            self.held_up += 1
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
    started, used = time.monotonic(), time.process_time()
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
        "held_up": sum(sender.held_up for sender in senders),
        "sent": sum(sender.sent for sender in senders),
        "seconds": time.monotonic() - started,
        "cpu_s": time.process_time() - used,
        "ack_ms": acknowledged,
    }
    print(json.dumps(result | {"requests": len(acknowledged)}))


if __name__ == "__main__":
    main(sys.argv[1:])
