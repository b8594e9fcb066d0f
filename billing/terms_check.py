"""Whether terms can be agreed: every amount in the currency, every code once, no promise that cannot be kept."""

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from billing.models import PriceBook
from billing.rating.kinds import Kind
from billing.rating.rounding import UnknownCurrency, rounded
from billing.rating.terms import Allowance, AppliesTo, Discount, FlatFee, Measure, Objective, PercentageFee, Terms

LIST = "list"  # the book that everybody has
MOST = Decimal(10) ** 18  # of money or usage: more does not fit the columns
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_METER = re.compile(r"meter:[A-Za-z0-9_-]{1,63}\Z")
_ONE = Decimal(1)


def terms_problems(terms: Terms, currency: str) -> list[str]:
    """What is wrong, in words. Empty for terms that can be agreed."""
    try:
        rounded(_ONE, currency)
    except UnknownCurrency as error:
        return [str(error)]
    return [
        *([f"a plan's name has at most 100 characters, not {len(terms.plan)}"] if len(terms.plan) > 100 else []),
        *_book(terms.price_book),
        *_money("the commitment", terms.commitment, currency),
        *_codes("fee", [fee.code for fee in terms.flat_fees] + [fee.code for fee in terms.percentage_fees]),
        *_codes("allowance", [each.code for each in terms.allowances]),
        *_codes("discount", [each.code for each in terms.discounts]),
        *_codes("objective", [each.code for each in terms.objectives]),
        *(problem for fee in terms.flat_fees for problem in _flat_fee(fee, currency)),
        *(problem for fee in terms.percentage_fees for problem in _percentage_fee(fee, currency)),
        *(problem for each in terms.allowances for problem in _allowance(each)),
        *(problem for each in terms.discounts for problem in _discount(each, currency)),
        *(problem for each in terms.objectives for problem in _objective(each)),
    ]


def _book(name: str) -> Iterator[str]:
    if name == LIST:
        yield f"the book {LIST!r} is everybody's: leave the contract's empty"
    elif name and not PriceBook.objects.filter(name=name).exists():
        yield f"there is no price book {name!r}"


def _codes(what: str, codes: list[str]) -> Iterator[str]:
    """Codes name lines: in a line's key, and from one period to the next."""
    for code, count in Counter(codes).items():
        if not _CODE.match(code):
            yield f"{what} {code!r}: a code has 1 to 64 letters, digits, - or _"
        if count > 1:
            yield f"{what} {code!r} is there {count} times"


def _flat_fee(fee: FlatFee, currency: str) -> Iterator[str]:
    yield from _described(f"fee {fee.code!r}", fee.description)
    yield from _money(f"fee {fee.code!r}", fee.amount, currency)


def _percentage_fee(fee: PercentageFee, currency: str) -> Iterator[str]:
    yield from _described(f"fee {fee.code!r}", fee.description)
    yield from _share(f"fee {fee.code!r}", fee.rate)
    yield from _money(f"the minimum of fee {fee.code!r}", fee.minimum, currency)


def _allowance(each: Allowance) -> Iterator[str]:
    name = f"allowance {each.code!r}"
    if each.kind not in {*Kind, "request"} and not _METER.match(each.kind):
        yield f"{name}: {each.kind!r} is not one of {', '.join(Kind)}, request, or meter:<slug>"
    if not each.model or len(each.model) > 200 or len(each.tier) > 64:
        yield f"{name} needs a model of at most 200 characters ('*' for any) and a tier of at most 64"
    if not (each.quantity.is_finite() and 0 < each.quantity < MOST and each.quantity == round(each.quantity, 12)):
        yield f"{name}: {each.quantity} is not a quantity above 0"


def _discount(each: Discount, currency: str) -> Iterator[str]:
    name = f"discount {each.code!r}"
    yield from _described(name, each.description)
    if (each.share is None) == (each.amount is None):
        yield f"{name} takes off either a share or an amount"
    if each.share is not None:
        yield from _share(name, each.share)
    if each.amount is not None:
        yield from _money(name, each.amount, currency)
    if not each.model or len(each.model) > 200:
        yield f"{name} needs a model of at most 200 characters ('*' for any)"
    if each.model != "*" and each.applies_to != AppliesTo.USAGE:
        yield f"{name} is for one model, and so for usage alone"


def _objective(each: Objective) -> Iterator[str]:
    name = f"objective {each.code!r}"
    yield from _share(f"the credit of {name}", each.credit_share)
    if each.measure is Measure.AVAILABILITY:
        yield from _share(name, each.threshold)
    elif not each.threshold.is_finite() or not 0 < each.threshold < 10**9:
        yield f"{name}: {each.threshold} is not a number of milliseconds above 0"
    elif each.threshold != round(each.threshold, 6):
        yield f"{name}: a threshold has at most 6 digits after the point"
    if not each.model or len(each.model) > 200:
        yield f"{name} needs a model of at most 200 characters ('*' for any)"
    if each.least_requests < 1:
        yield f"{name} needs at least one request to be measured"


def _described(name: str, text: str) -> Iterator[str]:
    if not text.strip() or len(text) > 200:
        yield f"{name} needs a description of at most 200 characters: it is what the invoice says"


def _money(name: str, amount: Decimal, currency: str) -> Iterator[str]:
    if not amount.is_finite() or not 0 <= amount < MOST:
        yield f"{name}: {amount} is not an amount of at least 0"
    elif amount != rounded(amount, currency):
        yield f"{name}: {amount} is less than what {currency} can be paid in"


def _share(name: str, share: Decimal) -> Iterator[str]:
    if not share.is_finite() or not 0 <= share <= _ONE or share != round(share, 8):
        yield f"{name}: {share} is not a share from 0 to 1 (0.1 is 10 %) of at most 8 digits"
