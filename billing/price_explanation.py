"""Which price applies to a given event of a tenant, and why: every candidate in order, the winner, and why the others lost."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing import pricebook, rating
from billing.pricebook import PriceInfo
from billing.rating import NOT_BILLED, Kind, Outcome, Tokens, exact, partition
from billing.rating.charging import charge
from billing.rating.rounding import finite
from billing.tenant_prices import TenantPrices, tenant_prices
from metering import public as metering
from metering.public import RequestInfo


class NotExplained(ValueError):
    """A question that cannot be answered, with the reason."""


@dataclass(frozen=True)
class Question:
    """What decides a price. `kind`: of token, `request`, or `meter:<slug>`; `at` None: now."""

    model: str
    kind: str
    tier: str = ""
    operation: str = ""
    region: str = ""
    input_tokens: int = 0
    at: datetime | None = None


@dataclass(frozen=True)
class PriceCandidate:
    """A price that might apply. `outcome`: won, less_specific, no_match, not_yet, replaced, waits or withdrawn; `reason` in words."""

    price: PriceInfo
    outcome: str
    reason: str

    @property
    def won(self) -> bool:
        return self.outcome == Outcome.WON


@dataclass(frozen=True)
class PriceExplained:
    """`candidates`: the most specific first. `winner` None: no price, so such usage blocks an invoice. `quantity`: of the request's tokens
    of this kind, None where no request was asked about; `cost`: what they cost, exact, None where that depends on the rest of the period
    (tiers, packages) or nothing has a price. `book`: the contract's, '' none.
    """

    question: Question
    tenant: str
    currency: str
    contract: str
    book: str
    at: datetime
    candidates: tuple[PriceCandidate, ...]
    quantity: int | None = None
    cost: Decimal | None = None

    @property
    def winner(self) -> PriceCandidate | None:
        return next((one for one in self.candidates if one.won), None)


@dataclass(frozen=True)
class RequestExplained:
    """A request and the price of each kind of its tokens. `billed` False: it failed, and is metered and not charged."""

    request: RequestInfo
    billed: bool
    kinds: tuple[PriceExplained, ...]

    @property
    def cost(self) -> Decimal | None:
        """Exact, before discounts and allowances; None where a part of it is not known by itself."""
        if any(one.cost is None for one in self.kinds):
            return None
        return exact.total(one.cost for one in self.kinds if one.cost is not None)


def explain_price(tenant: str, question: Question) -> PriceExplained:
    """From the tenant's own prices: the list and the book of its contract, never another's.

    Raises LookupError for an unknown tenant, NotExplained for a question without a model or of an unknown kind.
    """
    return _explained(tenant_prices(tenant, question.at), _checked(question))


def explain_request(tenant: str, identity: str, source: str | None = None) -> RequestExplained | None:
    """None if the tenant has no such request. Raises LookupError for an unknown tenant."""
    if metering.tenant(tenant) is None:
        raise LookupError(f"there is no tenant {tenant!r}")
    request = metering.request_named(tenant, identity, source)
    if request is None:
        return None
    prices = tenant_prices(tenant, request.time)
    kinds = tuple(_explained(prices, question, quantity) for question, quantity in _questions(request, prices))
    return RequestExplained(request, request.status not in NOT_BILLED, kinds)


def _questions(request: RequestInfo, prices: TenantPrices) -> list[tuple[Question, int]]:
    """One for each kind that it has tokens of, and one for the request itself where such has a price."""
    tokens = Tokens(
        request.input_tokens,
        request.cached_input_tokens,
        request.cache_write_tokens,
        request.output_tokens,
        request.reasoning_tokens,
    )
    quantities: dict[str, int] = {str(kind): count for kind, count in partition(tokens).items() if count}
    if any(rule.kind == rating.REQUEST for rule in prices.sheet):
        quantities[rating.REQUEST] = 1
    return [(_question(request, kind), count) for kind, count in quantities.items()]


def _question(request: RequestInfo, kind: str) -> Question:
    return Question(
        request.model,
        kind,
        request.tier,
        request.operation,
        request.region,
        request.input_tokens,
        request.time,
    )


def _checked(question: Question) -> Question:
    if not question.model:
        raise NotExplained("a question needs a model")
    if question.input_tokens < 0:
        raise NotExplained(f"there are no {question.input_tokens} input tokens")
    if question.kind == rating.REQUEST or question.kind.startswith(rating.METER) or question.kind in set(Kind):
        return question
    kinds = ", ".join([*Kind, rating.REQUEST, f"{rating.METER}<slug>"])
    raise NotExplained(f"unknown kind {question.kind!r}: one of {kinds}")


def _explained(prices: TenantPrices, question: Question, quantity: int | None = None) -> PriceExplained:
    asked = rating.Asked(question.model, question.tier, question.operation, question.region, question.input_tokens)
    found = rating.explain(
        prices.sheet, asked, question.kind, prices.at, period_start=prices.period.start, book=prices.book
    )
    candidates = tuple(
        PriceCandidate(_info(one.rule, prices.sheet), str(one.outcome), one.reason) for one in found.candidates
    )
    return PriceExplained(
        question,
        prices.tenant.key,
        prices.currency,
        prices.contract,
        prices.book,
        prices.at,
        candidates,
        quantity,
        _cost(found.winner, quantity),
    )


def _cost(winner: rating.PriceRule | None, quantity: int | None) -> Decimal | None:
    if winner is None or quantity is None or winner.charge_model != rating.ChargeModel.PER_UNIT:
        return None
    return finite(charge(winner, Decimal(quantity), quantity, "tokens").amount)


def _info(rule: rating.PriceRule, sheet: rating.PriceSheet) -> PriceInfo:
    later = [one.effective_from for one in sheet.rows(rule.key) if one.effective_from > rule.effective_from]
    row = pricebook.row_of_rule(rule)
    return PriceInfo(row, rule.book, rule.version, rule.effective_from, min(later, default=None))
