"""One customer's usage of one month: by model, by day, with costs. Sums only; nothing is rounded here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal, localcontext

from billing.contracts import CostRow, Period
from billing.public import costed_usage

EXACT_DIGITS = 120


@dataclass(frozen=True)
class Sums:
    """`cost` is None where some of the usage has no price yet: a part of a cost would pass for all of it."""

    requests: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: Decimal | None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class MonthOfUsage:
    """`priced`: what the part of the usage that has a price costs. `by_model` the largest first, `by_day` in order with the days without
    usage, `tokens` for each model a number a day."""

    currency: str
    total: Sums
    priced: Decimal
    by_model: list[tuple[str, Sums]]
    by_day: list[tuple[date, Sums]]
    tokens: dict[str, list[int]]
    rows: list[CostRow]


def month_of_usage(tenant: str, currency: str, period: Period, midnights: Sequence[datetime]) -> MonthOfUsage:
    """`midnights` are the days to list, in order."""
    rows = costed_usage(period.start, period.end, tenant=tenant, group_by=["model"], window="day")
    models = {str(row.groups["model"]) for row in rows}
    by_model = [(name, sums(row for row in rows if row.groups["model"] == name)) for name in models]
    by_model.sort(key=lambda item: (-item[1].tokens, item[0]))
    by_day = [(midnight.date(), sums(row for row in rows if row.window_start == midnight)) for midnight in midnights]
    tokens = {name: _daily(rows, name, midnights) for name, _ in by_model}
    return MonthOfUsage(currency, sums(rows), total(row.priced_cost for row in rows), by_model, by_day, tokens, rows)


def sums(rows: Iterable[CostRow]) -> Sums:
    held = list(rows)
    counted = {
        field.name: sum(getattr(row, field.name) for row in held) for field in fields(Sums) if field.name != "cost"
    }
    return Sums(cost=_cost(held), **counted)


def _cost(rows: Sequence[CostRow]) -> Decimal | None:
    costs = [row.cost for row in rows if row.cost is not None]
    return total(costs) if len(costs) == len(rows) else None


def total(costs: Iterable[Decimal]) -> Decimal:
    with localcontext() as context:
        context.prec = EXACT_DIGITS  # the default of 28 would round without a word
        return sum(costs, Decimal(0))


def _daily(rows: Sequence[CostRow], model: str, midnights: Sequence[datetime]) -> list[int]:
    found = {row.window_start: row.input_tokens + row.output_tokens for row in rows if row.groups["model"] == model}
    return [found.get(midnight, 0) for midnight in midnights]
