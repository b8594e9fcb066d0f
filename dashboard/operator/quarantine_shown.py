"""What the pages of quarantine show: counts that narrow the list, rows, the words for what a step did. No requests, no HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from dashboard.formats import whole, words
from metering.public import BulkOutcome, EntryCounts, EntryFilter, QuarantineEntry

STATES = {"open": "Open", "replayed": "Replayed", "discarded": "Discarded", "all": "All"}
ACTIONS = {"replay": "Replay", "discard": "Discard"}
DONE = {"replay": "replayed", "discard": "discarded"}
FEW = 8


@dataclass(frozen=True)
class Choice:
    """One value with its count. `query`: the list narrowed to it, or no longer narrowed if it is `chosen`.

    `linked` False: an empty value, which a filter cannot name.
    """

    label: str
    count: int
    query: str
    chosen: bool
    linked: bool


@dataclass(frozen=True)
class Facet:
    """The most frequent values of one column; `more`: how many others there are."""

    title: str
    choices: tuple[Choice, ...]
    more: int


def query(asked: EntryFilter, **changed: str) -> str:
    """The shortest query string of a filter with some words changed; '' takes one away."""
    return urlencode({name: value for name, value in (asked.words() | changed).items() if value})


def facets(asked: EntryFilter, counts: EntryCounts) -> tuple[Facet, ...]:
    return (
        _facet("Reason", "reason", asked, counts.by_reason, len(counts.by_reason)),
        _facet("Customer", "tenant", asked, counts.by_tenant, FEW),
        _facet("Protocol", "decoder", asked, counts.by_decoder, FEW),
    )


def _facet(title: str, name: str, asked: EntryFilter, counts: Mapping[str, int], most: int) -> Facet:
    chosen = getattr(asked, name)
    choices = [
        Choice(
            label=(words(value) if name == "reason" else value) or "not named",
            count=count,
            query=query(asked, **{name: "" if value == chosen else value}),
            chosen=bool(value) and value == chosen,
            linked=bool(value),
        )
        for value, count in list(counts.items())[:most]
    ]
    return Facet(title, tuple(choices), len(counts) - len(choices))


def described(asked: EntryFilter) -> list[str]:
    """What a filter says, for people: one phrase for each thing that it narrows by."""
    phrases = {
        "reason": f"reason {words(asked.reason)}",
        "tenant": f"customer {asked.tenant}",
        "decoder": f"protocol {asked.decoder}",
        "api_key": f"API key tw_{asked.api_key}",
        "text": f"containing \N{LEFT DOUBLE QUOTATION MARK}{asked.text}\N{RIGHT DOUBLE QUOTATION MARK}",
    }
    found = [phrase for name, phrase in phrases.items() if getattr(asked, name)]
    if asked.start is not None:
        found.append(f"arrived from {asked.start:%Y-%m-%d %H:%M:%S} UTC")
    if asked.end is not None:
        found.append(f"arrived before {asked.end:%Y-%m-%d %H:%M:%S} UTC")
    return found


def entries_of(count: int) -> str:
    """'1 entry', '1,204 entries'."""
    return f"{whole(count)} {'entry' if count == 1 else 'entries'}"


def headline(entry: QuarantineEntry) -> str:
    """'missing field: model', 'conflict'."""
    shown = words(entry.reason)
    return f"{shown}: {entry.field}" if entry.field and not entry.is_conflict else shown


def told(action: str, outcome: BulkOutcome) -> str:
    """What a step over many entries did, in a sentence or more."""
    parts = [f"{entries_of(outcome.done)} {DONE[action]}."]
    if outcome.failures:
        reasons = ", ".join(f"{whole(count)} {words(reason)}" for reason, count in outcome.failures.items())
        parts.append(f"{entries_of(sum(outcome.failures.values()))} refused again and still open: {reasons}.")
    if outcome.lost:
        parts.append(f"{entries_of(outcome.lost)} had been decided by somebody else meanwhile.")
    if outcome.stopped:
        parts.append(f"It ended early: {outcome.stopped}. The rest is as it was.")
    return " ".join(parts)
