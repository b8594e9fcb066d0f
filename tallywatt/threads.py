"""The driver of the sender's steps that blocks, and the thread that runs it."""

# httpcore and idna are loaded lazily, at the first request, unless somebody did so before. A fork in the moment in which the
# sender's thread loads them would leave the child with import locks that nobody ever opens.
import encodings.idna  # noqa: F401
import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

import httpcore  # noqa: F401
import httpx

from tallywatt.answers import Answer
from tallywatt.delivery import Do, Idle, Post, Step, Wait
from tallywatt.options import Options
from tallywatt.sending import Sending
from tallywatt.wire import Body

logger = logging.getLogger("tallywatt")

AFTER_OUR_OWN_FAULT_S = 5.0


class Stop(Protocol):
    """What threading.Event and Deadline have in common."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Deadline:
    """Is set by the passing of time."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def is_set(self) -> bool:
        return time.monotonic() >= self._at

    def wait(self, timeout: float | None = None) -> bool:
        left = max(0.0, self._at - time.monotonic())
        time.sleep(left if timeout is None else min(timeout, left))
        return self.is_set()


def post(http: httpx.Client, url: str, body: Body) -> Answer:
    try:
        response = http.post(url, content=body.content, headers=body.headers)
    except (httpx.HTTPError, OSError) as error:
        return no_answer(error)
    return Answer(response.status_code, response.content, response.headers)


def no_answer(error: Exception) -> Answer:
    return Answer(0, f"{type(error).__name__}: {error}".encode(errors="replace"))


def drive(
    steps: Generator[Step, Any, None],
    send: Callable[[Body], Answer],
    stop: Stop,
    *,
    wake: threading.Event | None = None,
    progress: Callable[[], None] = lambda: None,
) -> bool:
    """Carry out the steps to their end; False if `stop` came first."""
    proceed: Callable[[Any], Step] = steps.send
    result: Any = None
    while True:
        try:
            step = proceed(result)
        except StopIteration:
            return True
        proceed, result = steps.send, None
        if isinstance(step, Do):
            try:
                result = step.call()
            except Exception as error:  # the steps decide what it means
                proceed, result = steps.throw, error
            progress()
        elif stop.is_set() or (isinstance(step, Wait) and stop.wait(step.seconds)):
            steps.close()
            return False
        elif isinstance(step, Post):
            result = send(step.body)
        elif isinstance(step, Idle) and wake is not None:
            wake.wait(step.seconds)
            wake.clear()


def send_all(sending: Sending, options: Options, timeout_s: float) -> bool:
    """Send in this thread until nothing is left; False if the time was too short."""
    limits = httpx.Timeout(max(0.1, min(options.timeout_s, timeout_s)))
    with httpx.Client(**options.http | {"timeout": limits}) as http:
        return drive(sending.until_empty(), lambda body: post(http, options.endpoint, body), Deadline(timeout_s))


Watch = Callable[[Answer, float], None]


class Sender:
    """The thread that sends what one process records. `watch` sees every answer, and how many seconds it took."""

    def __init__(self, sending: Sending, options: Options, watch: Watch | None = None) -> None:
        self._sending = sending
        self._options = options
        self._watch = watch
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._http = httpx.Client(**options.http)
        self._thread = threading.Thread(target=self._run, name="tallywatt-send", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is news in the store."""
        self._wake.set()

    def wait_passed(self, mark: str, timeout_s: float) -> bool:
        """Until everything before the mark is dealt with; False if that took too long."""
        with self._progress:
            return self._progress.wait_for(lambda: self._sending.store.passed(mark), timeout_s)

    def stop(self, timeout_s: float) -> None:
        """A post under way is not broken off: the thread, a daemon, may outlive this call by its timeout."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with self._http:
            while not self._stop.is_set():
                try:
                    self._drive()
                except Exception:
                    logger.exception("the sender failed, which is a fault of this client; it goes on")
                    self._stop.wait(AFTER_OUR_OWN_FAULT_S)
        self._sending.store.close()

    def _drive(self) -> None:
        drive(
            self._sending.forever(),
            self._post,
            self._stop,
            wake=self._wake,
            progress=self._notify,
        )

    def _post(self, body: Body) -> Answer:
        began = time.monotonic()
        answer = post(self._http, self._options.endpoint, body)
        if self._watch is not None:
            self._watch(answer, time.monotonic() - began)
        return answer

    def _notify(self) -> None:
        with self._progress:
            self._progress.notify_all()
