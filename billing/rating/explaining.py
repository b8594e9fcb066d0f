"""Which price applies to an event and why: every candidate, the most specific first, with the reason why it won or lost."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.rating.prices import Key, PriceRule, PriceSheet, in_force, stand_ins, why_not


class Outcome(StrEnum):
    WON = "won"
    LESS_SPECIFIC = "less_specific"  # it matches, and so does one before it
    NO_MATCH = "no_match"
    NOT_YET = "not_yet"  # it begins later
    REPLACED = "replaced"  # a later row of the same key holds
    WAITS = "waits"  # it changes tiers, and holds from the next billing period on
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Candidate:
    rule: PriceRule
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Asked:
    """An event's side of the question. `context_band` stands for its input tokens: any number above a threshold is beyond it."""

    model: str
    tier: str
    operation: str
    region: str
    context_band: int


@dataclass(frozen=True)
class Explanation:
    """`winner` None: no price applies, and such usage blocks an invoice."""

    winner: PriceRule | None
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Question:
    sheet: PriceSheet
    asked: Asked
    at: datetime
    period_start: datetime
    winner: PriceRule | None


def explain(
    sheet: PriceSheet,
    asked: Asked,
    kind: str,
    at: datetime,
    *,
    period_start: datetime | None = None,
    book: str | None = None,
) -> Explanation:
    """As `PriceSheet.rule`, with its reasons. Candidates are the prices of that kind for the model or any, not those of other models."""
    since = period_start or at
    winner = sheet.rule(asked, kind, at, period_start=since, book=book)
    question = _Question(sheet, asked, at, since, winner)
    keys = [key for one in stand_ins(kind) for key in sheet.near(asked.model, one, book)]
    found = [_candidate(key, row, question) for key in keys for row in reversed(sheet.rows(key))]
    return Explanation(winner, tuple(found))


def _candidate(key: Key, row: PriceRule, question: _Question) -> Candidate:
    if reason := why_not(key, question.asked):
        return Candidate(row, Outcome.NO_MATCH, reason)
    if row.effective_from > question.at:
        return Candidate(row, Outcome.NOT_YET, f"holds from {row.effective_from:%Y-%m-%d %H:%MZ} on")
    rows = question.sheet.rows(key)
    held = in_force(rows, question.period_start, question.at)
    if row is not held:
        return _not_held(row, rows, held)
    if row.withdrawn:
        return Candidate(row, Outcome.WITHDRAWN, "has no price any more, so a less specific one may apply")
    if row is question.winner:
        return Candidate(row, Outcome.WON, f"is the most specific that matches: {_named(key)}")
    return Candidate(row, Outcome.LESS_SPECIFIC, _beaten(row, question.winner))


def _not_held(row: PriceRule, rows: list[PriceRule], held: PriceRule | None) -> Candidate:
    later = held is not None and rows.index(held) < rows.index(row)
    if later:
        return Candidate(row, Outcome.WAITS, "changes a price with tiers, which waits for the next billing period")
    moment = f" since {held.effective_from:%Y-%m-%d %H:%MZ}" if held else ""
    version = f" (version {held.version})" if held else ""
    return Candidate(row, Outcome.REPLACED, f"another row of the same key holds{moment}{version}")


def _beaten(row: PriceRule, winner: PriceRule | None) -> str:
    """What the winner asks for that this one does not."""
    if winner is None:
        return "no price applies"
    if winner.kind != row.kind:
        return f"the price of {row.kind} is used only if there is none of {winner.kind}"
    return f"one that asks for more comes first: {_named(winner.key)}"


def _named(key: Key) -> str:
    """What a key asks for."""
    over = f"over {key.context_over:,} input tokens" if key.context_over else ""
    asks = (
        f"book {key.book}",
        f"model {key.model}",
        f"tier {key.tier}" if key.tier else "",
        over,
        f"operation {key.operation}" if key.operation else "",
        f"region {key.region}" if key.region else "",
    )
    return ", ".join(part for part in asks if part)
