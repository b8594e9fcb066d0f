"""What the comparison found, in words, the worst first. Pure: from alerts to sentences."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from metering.telemetry.reconciliation.alerts import UNBILLED, LeakageAlert, Unjudged
from metering.telemetry.reconciliation.hours import Incomplete

BAD, WARN = "bad", "warn"
REASONS = {
    Incomplete.RESTART: "its counters began anew",
    Incomplete.SAMPLES: "samples of it are missing",
    Incomplete.WINDOWS: "it was not seen for all of the hour",
    Incomplete.OPEN: "energy is not settled yet",
}
NO_EVENT = "No event names it: check that `node` and `engine` of the events are those that the agent reports."
ABORTED = "It gave up about as many requests: streams whose clients went away leave no event. Let the gateway send one for them."
SOME = (
    "Requests end without an event: compare the gateway's log with the events of that time, and look into quarantine."
)
NO_COUNT = "The engine counted nothing: check that `node` and `engine` of the events are those that the agent reports."
TWICE = "Two senders may report the same requests under different ids (make one's key an observing one), or events name the wrong engine."


@dataclass(frozen=True)
class LeakageFinding:
    """`tone` is bad or warn; `advice` says what follows from it or what to do."""

    tone: str
    text: str
    advice: str = ""


def findings(alerts: Sequence[LeakageAlert], unjudged: Iterable[Unjudged]) -> list[LeakageFinding]:
    return [*(_alert(one) for one in alerts), *_unjudged(unjudged)]


def _alert(one: LeakageAlert) -> LeakageFinding:
    since = f"{'at least ' if one.since_before else ''}{one.since:%Y-%m-%d %H:%M}Z"
    what = (
        "of what it produced has no event" if one.kind == UNBILLED else "of what events bill to it was never produced"
    )
    text = (
        f"Engine {one.engine} on {one.node} ({one.model}): {one.share * 100:.1f} % {what}, "
        f"{one.tokens:,.0f} tokens since {since}."
    )
    return LeakageFinding(BAD, text, _unbilled(one) if one.kind == UNBILLED else _phantom(one))


def _unbilled(one: LeakageAlert) -> str:
    if not one.found.event_side.tokens:
        return NO_EVENT
    unbilled = one.found.unbilled.requests
    return ABORTED if one.found.aborted and one.found.aborted >= unbilled / 2 else SOME


def _phantom(one: LeakageAlert) -> str:
    return TWICE if one.found.engine_side.tokens else NO_COUNT


def _unjudged(engines: Iterable[Unjudged]) -> Iterator[LeakageFinding]:
    for one in engines:
        reasons = ", ".join(f"{REASONS[reason]} ({count} h)" for reason, count in one.found.reasons)
        text = f"Engine {one.engine} on {one.node} ({one.model}) could not be compared in its last hours: {reasons}."
        yield LeakageFinding(WARN, text, "Such hours are in no share. What leaks in them is not seen.")
