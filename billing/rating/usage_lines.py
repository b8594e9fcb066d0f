"""Lines of usage: what was gathered, charged at its price and rounded once."""

from decimal import Decimal
from typing import Any

from billing.rating import exact
from billing.rating.charging import charge
from billing.rating.exact import ZERO
from billing.rating.gathering import Gathered
from billing.rating.lines import NOT_BILLED, Line, LineType
from billing.rating.per_unit import PER
from billing.rating.prices import ANY_MODEL, PriceRule
from billing.rating.rounding import settled


def usage_line(held: Gathered, currency: str, tax_rate: Decimal) -> Line:
    """Without a price, its amounts are None."""
    rule = held.slot.rule
    return _without_price(held, currency, tax_rate) if rule is None else _priced(held, rule, currency, tax_rate)


def _priced(held: Gathered, rule: PriceRule, currency: str, tax_rate: Decimal) -> Line:
    slot, quantity = held.slot, Decimal(held.quantity)
    included = exact.total(held.included.values()) if held.included else ZERO
    found = charge(rule, exact.minus(quantity, included) if included else quantity, held.events, slot.unit)
    amount_exact, amount = settled(found.amount, currency)
    return Line(
        type=LineType.USAGE,
        key=slot.key,
        start=held.start,
        end=held.end,
        explanation=_included(held, slot.unit) + found.explanation + slot.note,
        amount_exact=amount_exact,
        amount=amount,
        quantity=quantity,
        included=included,
        unit=slot.unit,
        model=slot.model,
        tier=slot.tier,
        operation=rule.operation,
        region=rule.region,
        context_over=rule.context_over,
        kind=slot.kind,
        charge_model=rule.charge_model,
        unit_amount=found.unit_amount,
        per=rule.per,
        tax_rate=tax_rate,
        detail=found.detail | _detail(held),
    )


def _without_price(held: Gathered, currency: str, tax_rate: Decimal) -> Line:
    slot = held.slot
    shown = f"{exact.grouped(held.quantity)} {slot.unit}"
    statuses = " or ".join(sorted(NOT_BILLED))
    said = (
        f"{shown} without a price in {currency}"
        if slot.billed
        else f"{shown} of requests with status {statuses}: not billed"
    )
    amount = None if slot.billed else ZERO
    return Line(
        type=LineType.USAGE,
        key=slot.key,
        start=held.start,
        end=held.end,
        explanation=said,
        amount_exact=amount,
        amount=amount,
        quantity=Decimal(held.quantity),
        unit=slot.unit,
        billed=slot.billed,
        model=slot.model,
        tier=slot.tier,
        kind=slot.kind,
        per=PER,
        tax_rate=tax_rate,
    )


def _included(held: Gathered, unit: str) -> str:
    if not held.included:
        return ""
    parts = [f"{exact.grouped(quantity)} included ({code})" for code, quantity in held.included.items()]
    return f"{exact.grouped(held.quantity)} {unit}, of them {', '.join(parts)}: "


def _detail(held: Gathered) -> dict[str, Any]:
    """By allowance what it covers; by model the quantity, where the line is of all models."""
    found: dict[str, Any] = {}
    if held.included:
        found["included"] = {code: exact.plain(quantity) for code, quantity in held.included.items()}
    if held.slot.model == ANY_MODEL:
        models: dict[str, Decimal] = {}
        for key, share in held.ordered():
            models[key.model] = exact.total((models.get(key.model, ZERO), share.quantity))
        found["models"] = {model: exact.plain(quantity) for model, quantity in sorted(models.items())}
    return found
