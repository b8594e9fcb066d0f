"""Senders: threads that take the jobs in order and send each until it is acknowledged, whatever happens to the server meanwhile."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.bodies import FORMATS, bad_event
from tests.chaos.events import TENANTS
from tests.chaos.plan import Job

ANSWER_S = 30
LONGEST_WAIT_S = 5.0
NO_ANSWER_WAIT_S = 0.3


@dataclass
class Tally:
    """What the senders saw. `attempts` by job; `answers` by status, `lost`: no answer at all."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    acknowledged_jobs: int = 0
    acknowledged_events: int = 0
    refused_events: int = 0
    spool_full: int = 0
    wrong: list[str] = field(default_factory=list)


class Road:
    """Hands the jobs out in order, never past `limit`, and lets those wait that depend on others."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self.limit = 0
        self.stopped = False
        self._changed = threading.Condition()
        self._done: set[int] = set()

    def open_to(self, limit: int) -> None:
        with self._changed:
            self.limit = limit
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def take(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self.taken < self.limit or self.taken >= self.count)
            if self.stopped or self.taken >= self.count:
                return None
            self.taken += 1
            return self.taken - 1

    def wait_acknowledged(self, jobs: Sequence[int]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._done.issuperset(jobs))

    def acknowledge(self, job: int) -> None:
        with self._changed:
            self._done.add(job)
            self._changed.notify_all()

    def reached(self, place: int) -> bool:
        return self.taken >= min(place, self.count)

    @property
    def finished(self) -> bool:
        return len(self._done) == self.count


@dataclass(frozen=True)
class Answer:
    status: int
    wait_s: float
    body: bytes


class Sender(threading.Thread):
    """One connection. `keys`: the operator's under '', and each tenant's own."""

    def __init__(self, port: int, keys: Mapping[str, str], jobs: Sequence[Job], road: Road, tally: Tally) -> None:
        super().__init__(daemon=True)
        self._port, self._keys, self._jobs, self._road, self._tally = port, keys, jobs, road, tally
        self._link: http.client.HTTPConnection | None = None

    def run(self) -> None:
        try:
            while (index := self._road.take()) is not None:
                job = self._jobs[index]
                self._road.wait_acknowledged(job.waits_for)
                self._send(index, job)
        finally:
            self._hang_up()

    def _send(self, index: int, job: Job) -> None:
        body, headers = self._request(job)
        while not self._road.stopped:
            answer = self._answer(body, headers)
            with self._tally.lock:
                self._tally.attempts[index] += 1
                self._tally.answers[str(answer.status) if answer else "lost"] += 1
            if answer and answer.status in {202, 204, 400}:
                self._acknowledged(index, job, answer)
                return
            self._noted(index, answer)
            time.sleep(answer.wait_s if answer else NO_ANSWER_WAIT_S)

    def _request(self, job: Job) -> tuple[bytes, dict[str, str]]:
        kind = FORMATS[job.format]
        tenant = TENANTS[job.owner if job.owner is not None else 0]
        bad = [bad_event(f"bad-{each.number}", tenant, each.kind) for each in job.invalid]
        headers = {"Authorization": f"Bearer {self._keys[tenant if job.owner is not None else '']}"}
        headers |= {"Content-Type": kind.content_type} | ({"Content-Encoding": kind.encoding} if kind.encoding else {})
        return kind.build(job.events.rows, bad), headers

    def _answer(self, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        """None: no answer, so nobody knows whether the events were taken."""
        try:
            if self._link is None:
                self._link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
            self._link.request("POST", "/api/v1/events", body, dict(headers))
            response = self._link.getresponse()
            wait_s = min(LONGEST_WAIT_S, float(response.headers.get("Retry-After", "1")))
            return Answer(response.status, wait_s, response.read())
        except (OSError, http.client.HTTPException):
            self._hang_up()
            return None

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None

    def _noted(self, index: int, answer: Answer | None) -> None:
        """Only 429 and 503 are refusals that a sender must expect."""
        if answer is None:
            return
        with self._tally.lock:
            if answer.status == 429 and (b"spool" in answer.body or b"to be inserted" in answer.body):
                self._tally.spool_full += 1
            elif answer.status not in {429, 503}:
                self._tally.wrong.append(f"job {index}: answer {answer.status} {answer.body[:300]!r}")

    def _acknowledged(self, index: int, job: Job, answer: Answer) -> None:
        """A receipt must say exactly what was good and what was bad in the request."""
        expected = (len(job.events), [len(job.events) + place for place in range(len(job.invalid))])
        found = _receipt(answer)
        with self._tally.lock:
            if (found or (len(job.events), [])) != expected:
                self._tally.wrong.append(f"job {index}: {answer.status} says {found}, expected {expected}")
            self._tally.acknowledged_jobs += 1
            self._tally.acknowledged_events += expected[0]
            self._tally.refused_events += len(job.invalid)
        self._road.acknowledge(index)


def _receipt(answer: Answer) -> tuple[int, list[int]] | None:
    """(accepted, indexes of the rejected); None if the answer has no receipt: then everything was taken."""
    if answer.status == 204:
        return None
    try:
        found: dict[str, Any] = json.loads(answer.body)
        return found["accepted"], [each["index"] for each in found["rejected"]]
    except (ValueError, KeyError, TypeError):
        return -1, []
