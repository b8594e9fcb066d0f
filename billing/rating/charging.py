"""What a quantity costs under a price, and how that is said: one charge model each, in its own file."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing.rating import exact, graduated, package, per_unit, percentage, volume
from billing.rating.exact import Exact
from billing.rating.prices import ChargeModel, PriceRule


@dataclass(frozen=True, slots=True)
class Charge:
    """`unit_amount`: what every `per` units cost, None where no single amount says it."""

    amount: Exact
    explanation: str
    unit_amount: Decimal | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def linear(rule: PriceRule, quantity: Decimal, events: int) -> Exact:
    """What a part of a line costs under a price without tiers, wherever the rest of the line is."""
    if rule.charge_model == ChargeModel.PERCENTAGE:
        return percentage.amount(quantity, _given(rule.rate, rule), rule.fixed or exact.ZERO, events)
    return per_unit.amount(quantity, _given(rule.amount, rule), rule.per)


def charge(rule: PriceRule, quantity: Decimal, events: int, unit: str) -> Charge:
    """Raises ValueError for a price that lacks what its charge model needs: the price book refuses such."""
    match rule.charge_model:
        case ChargeModel.PER_UNIT:
            price = _given(rule.amount, rule)
            said = per_unit.explanation(quantity, unit, price, rule.per, rule.currency)
            return Charge(per_unit.amount(quantity, price, rule.per), said, price)
        case ChargeModel.GRADUATED:
            return _graduated(rule, quantity, unit)
        case ChargeModel.VOLUME:
            return _volume(rule, quantity, unit)
        case ChargeModel.PACKAGE:
            price = _given(rule.amount, rule)
            said = package.explanation(quantity, unit, price, rule.per, rule.currency)
            detail = {"packages": package.packages(quantity, rule.per)}
            return Charge(package.amount(quantity, price, rule.per), said, price, detail)
        case ChargeModel.PERCENTAGE:
            return _percentage(rule, quantity, events)
    raise ValueError(f"there is no charge model {rule.charge_model!r}")


def _graduated(rule: PriceRule, quantity: Decimal, unit: str) -> Charge:
    found = list(graduated.charges(quantity, rule.tiers, rule.per))
    detail = [
        {
            "up_to": None if one.tier.up_to is None else exact.plain(one.tier.up_to),
            "quantity": exact.plain(one.quantity),
            "amount": exact.plain(one.tier.amount),
            "flat": exact.plain(one.tier.flat),
        }
        for one in found
    ]
    said = graduated.explanation(quantity, unit, rule.tiers, rule.per, rule.currency)
    return Charge(exact.added(one.amount for one in found), said, None, {"tiers": detail})


def _volume(rule: PriceRule, quantity: Decimal, unit: str) -> Charge:
    tier = volume.reached(quantity, rule.tiers)
    said = volume.explanation(quantity, unit, rule.tiers, rule.per, rule.currency)
    # With a flat part, no single amount is the price of a unit.
    unit_amount = None if tier.flat else tier.amount
    up_to = None if tier.up_to is None else exact.plain(tier.up_to)
    detail = {"up_to": up_to, "amount": exact.plain(tier.amount), "flat": exact.plain(tier.flat)}
    return Charge(volume.amount(quantity, rule.tiers, rule.per), said, unit_amount, {"tier": detail})


def _percentage(rule: PriceRule, quantity: Decimal, events: int) -> Charge:
    rate, fixed = _given(rule.rate, rule), rule.fixed or exact.ZERO
    said = percentage.explanation(quantity, rate, rule.currency, fixed, events)
    detail = {"events": events} if fixed else {}
    return Charge(percentage.amount(quantity, rate, fixed, events), said, None, {"rate": exact.plain(rate)} | detail)


def _given(number: Decimal | None, rule: PriceRule) -> Decimal:
    if number is None:
        raise ValueError(f"a price of {rule.model} {rule.kind} ({rule.charge_model}) has no amount")
    return number
