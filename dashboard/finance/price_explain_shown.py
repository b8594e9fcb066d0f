"""The explanation of a price as text: a sentence with the winner, and the candidates in order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from billing.public import PriceCandidate, PriceExplained, RequestExplained
from dashboard import formats
from dashboard.finance import prices_shown

KINDS = ("input", "cached_input", "cache_write", "output", "reasoning", "request")
OUTCOMES = {
    "won": "applies",
    "less_specific": "less specific",
    "no_match": "does not match",
    "not_yet": "not yet",
    "replaced": "replaced",
    "waits": "waits",
    "withdrawn": "withdrawn",
}


@dataclass(frozen=True)
class CandidateLine:
    place: int
    won: bool
    outcome: str
    price: str
    asks: str
    source: str
    starts: str
    ends: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """`headline`: what it costs; `because`: why. `key` is unique on the page."""

    key: str
    what: str
    headline: str
    because: str
    priced: bool
    facts: tuple[tuple[str, str], ...]
    candidates: tuple[CandidateLine, ...]


def answers(found: Iterable[PriceExplained]) -> list[Answer]:
    return [_answer(one, place) for place, one in enumerate(found, start=1)]


def request_facts(found: RequestExplained) -> list[tuple[str, str]]:
    one = found.request
    currency = found.kinds[0].currency if found.kinds else ""
    cost = "depends on the rest of the period" if found.cost is None else f"{formats.exact(found.cost)} {currency}"
    return [
        ("Request", f"{one.id} from {one.source}" if one.source else one.id),
        ("Time", formats.moment(one.time)),
        ("Model", one.model),
        ("Tier", one.tier or formats.NOTHING),
        ("Operation", one.operation or formats.NOTHING),
        ("Region", one.region or formats.NOTHING),
        (
            "Input tokens",
            f"{one.input_tokens:,}, of them {one.cached_input_tokens:,} cached, {one.cache_write_tokens:,} written",
        ),
        ("Output tokens", f"{one.output_tokens:,}, of them {one.reasoning_tokens:,} reasoning"),
        ("Cost, before discounts", cost if found.billed else "none"),
        ("Status", one.status if found.billed else f"{one.status}: metered, not charged"),
    ]


def _answer(one: PriceExplained, place: int) -> Answer:
    winner = one.winner
    return Answer(
        str(place),
        _what(one),
        _headline(one, winner),
        f"{_source(winner)} {winner.reason}."
        if winner
        else "Such usage keeps an invoice from being made until it has one.",
        winner is not None,
        _facts(one),
        tuple(_line(candidate, rank) for rank, candidate in enumerate(one.candidates, start=1)),
    )


def _headline(one: PriceExplained, winner: PriceCandidate | None) -> str:
    if winner is None:
        return "No price applies"
    price = prices_shown.price(winner.price.row)
    return price if one.cost is None else f"{price} = {formats.exact(one.cost)} {one.currency}"


def _what(one: PriceExplained) -> str:
    kind = prices_shown.kind(one.question.kind)
    if one.quantity is None:
        return kind
    return "the request itself" if one.question.kind == "request" else f"{one.quantity:,} {kind} tokens"


def _facts(one: PriceExplained) -> tuple[tuple[str, str], ...]:
    asked = one.question
    return (
        ("Customer", one.tenant),
        ("Contract", one.contract or "none: list prices"),
        ("Price book of the contract", one.book or formats.NOTHING),
        ("At", formats.moment(one.at)),
        ("Model", asked.model),
        ("Tier", asked.tier or formats.NOTHING),
        ("Operation", asked.operation or formats.NOTHING),
        ("Region", asked.region or formats.NOTHING),
        ("Input tokens", formats.whole(asked.input_tokens)),
    )


def _source(one: PriceCandidate) -> str:
    return f"Book {one.price.book}, version {one.price.version},"


def _line(one: PriceCandidate, place: int) -> CandidateLine:
    row = one.price.row
    matches = prices_shown.matches(row.tier, row.operation, row.region, row.context_over)
    asks = (prices_shown.kind(row.kind), prices_shown.model(row.model), matches)
    return CandidateLine(
        place,
        one.won,
        OUTCOMES.get(one.outcome, one.outcome),
        prices_shown.price(row),
        ", ".join(part for part in asks if part),
        f"{one.price.book}, version {one.price.version}",
        prices_shown.moment(one.price.starts),
        prices_shown.moment(one.price.ends),
        one.reason,
    )
