"""Contracts with their revisions, as frozen values: what holds on which day, and the stretches of a period under the same terms.

Rows are read for many tenants at once, one query per table.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Model, QuerySet

from billing import models
from billing.models import Contract, ContractRevision
from billing.periods import Schedule, days_between, midnight, period_days
from billing.rating.terms import (
    Agreement,
    Allowance,
    AppliesTo,
    Discount,
    FlatFee,
    Measure,
    Objective,
    PercentageFee,
    Stretch,
    Terms,
)

ACTIVE, PAUSED, ENDED = (str(state) for state in ContractRevision.State.values)
Part = TypeVar("Part", FlatFee, PercentageFee, Allowance, Discount, Objective)
_ENUMS: dict[str, type[StrEnum]] = {"applies_to": AppliesTo, "measure": Measure}
# Of more tenants everything is read: a longer list in a statement costs more than the rows that it leaves out.
NAMED_AT_MOST = 1000


@dataclass(frozen=True)
class Revision:
    """`terms.active` is False unless `state` is active."""

    number: int
    effective_on: date
    state: str
    terms: Terms
    note: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class ContractInfo:
    """A contract with its revisions by number. `ends_on`: the first local day that is not in it."""

    number: str
    tenant: str
    currency: str
    zone: ZoneInfo
    anchor_day: int
    starts_on: date
    revisions: tuple[Revision, ...]

    def __str__(self) -> str:
        return f"{self.number} ({self.tenant})"

    @property
    def latest(self) -> int:
        """The number of the newest revision, whether it holds yet or not."""
        return self.revisions[-1].number

    def as_of(self, revision: int) -> "ContractInfo":
        """As it was when `revision` was the latest."""
        return replace(self, revisions=tuple(each for each in self.revisions if each.number <= revision))

    @cached_property
    def course(self) -> tuple[Revision, ...]:
        """The revisions in the order in which they hold, one for each day on which another begins; the last may be the end."""
        by_day = {each.effective_on: each for each in self.revisions}  # of two of a day, the later number
        found: list[Revision] = []
        for day in sorted(by_day):
            found.append(by_day[day])
            if by_day[day].state == ENDED:
                break
        return tuple(found)

    @property
    def ends_on(self) -> date | None:
        return self.course[-1].effective_on if self.course[-1].state == ENDED else None

    @property
    def cancelled(self) -> bool:
        """Ended on the day on which it starts: it never held."""
        return self.ends_on is not None and self.ends_on <= self.starts_on

    @cached_property
    def schedule(self) -> Schedule:
        return Schedule(self.anchor_day, self.zone, self.starts_on, self.ends_on)

    def holding_on(self, day: date) -> Revision | None:
        """None before the contract begins. From its end on: the revision that ended it."""
        held = [each for each in self.course if each.effective_on <= day]
        return held[-1] if held else None

    def agreement(self, start: datetime, end: datetime) -> Agreement:
        """What holds in `[start, end)`, which lies within one whole period; neighbours of the same terms are one stretch."""
        edges = [max(start, midnight(each.effective_on, self.zone)) for each in self.course] + [end]
        found: list[Stretch] = []
        for revision, (first, after) in zip(self.course, pairwise(edges), strict=True):
            last = min(after, end)
            if first >= last or revision.state == ENDED:
                continue
            same = found and found[-1].terms == revision.terms
            since = found.pop().start if same else first
            found.append(Stretch(since, last, days_between(since, last, self.zone), revision.terms))
        return Agreement(
            tuple(found), period_days(self.anchor_day, self.zone, start), contract=self.number, revision=self.latest
        )


def contracts_of(tenants: Collection[str]) -> dict[str, tuple[ContractInfo, ...]]:
    """The contracts of each tenant that has any, the earliest first. Eight queries, however many tenants."""
    found = defaultdict(list)
    for info in _infos(_among(Contract.objects.all(), "tenant", tenants), tenants):
        found[info.tenant].append(info)
    return {tenant: tuple(sorted(infos, key=lambda info: info.schedule.start)) for tenant, infos in found.items()}


def contract(number: str) -> ContractInfo | None:
    return next(iter(_infos(Contract.objects.filter(number=number))), None)


def contracts_after(number: str, tenant: str | None, limit: int | None) -> list[ContractInfo]:
    """In the order of their numbers, after `number` ('': from the first), one tenant's or (None) everybody's."""
    rows = Contract.objects.filter(number__gt=number).order_by("number")
    return _infos(rows.filter(tenant=tenant)[:limit] if tenant is not None else rows[:limit])


def contracts_numbered(numbers: Collection[str]) -> dict[str, ContractInfo]:
    rows = _among(Contract.objects.all(), "number", numbers)
    return {info.number: info for info in _infos(rows, numbers, by="number")}


def _among(rows: "QuerySet[Any]", field: str, values: Collection[Any]) -> "QuerySet[Any]":
    return rows.filter(**{f"{field}__in": list(values)}) if len(values) <= NAMED_AT_MOST else rows


def _infos(rows: "QuerySet[Contract]", asked: Collection[str] | None = None, by: str = "tenant") -> list[ContractInfo]:
    """`asked`: the values of the column `by` that are wanted, of rows that may be of others too."""
    wanted = None if asked is None else frozenset(asked)
    contracts = [row for row in rows if wanted is None or getattr(row, by) in wanted]
    revisions = _revisions([row.pk for row in contracts])
    return [
        ContractInfo(
            row.number,
            row.tenant,
            row.currency,
            ZoneInfo(row.time_zone),
            row.anchor_day,
            row.starts_on,
            tuple(revisions[row.pk]),
        )
        for row in contracts
        if row.pk in revisions
    ]


def _revisions(contracts: Collection[int]) -> dict[int, list[Revision]]:
    rows = list(_among(ContractRevision.objects.order_by("number"), "contract_id", contracts))
    parts = _Parts([row.pk for row in rows])
    found = defaultdict(list)
    for row in rows:
        terms = parts.terms(row)
        found[row.contract_id].append(
            Revision(row.number, row.effective_on, row.state, terms, row.note, row.created_by, row.created_at)
        )
    return found


class _Parts:
    """Fees, allowances, discounts and objectives of many revisions."""

    def __init__(self, revisions: Collection[int]) -> None:
        self.flat_fees = _by_revision(models.FlatFee, FlatFee, revisions)
        self.percentage_fees = _by_revision(models.PercentageFee, PercentageFee, revisions)
        self.allowances = _by_revision(models.Allowance, Allowance, revisions)
        self.discounts = _by_revision(models.Discount, Discount, revisions, order="position")
        self.objectives = _by_revision(models.Objective, Objective, revisions)

    def terms(self, row: ContractRevision) -> Terms:
        return Terms(
            plan=row.plan,
            active=row.state == ACTIVE,
            price_book=row.price_book,
            flat_fees=self.flat_fees.get(row.pk, ()),
            percentage_fees=self.percentage_fees.get(row.pk, ()),
            allowances=self.allowances.get(row.pk, ()),
            discounts=self.discounts.get(row.pk, ()),
            commitment=_plain(row.commitment),
            objectives=self.objectives.get(row.pk, ()),
        )


def _by_revision(
    model: type[Model], made: type[Part], revisions: Collection[int], order: str = "pk"
) -> dict[int, tuple[Part, ...]]:
    """The rows of a table as values of `made`, whose fields are named like its columns. No model is made of a row: there are many."""
    names = [field.name for field in fields(made)]
    found: defaultdict[int, list[Part]] = defaultdict(list)
    if revisions:
        rows = _among(model._default_manager.order_by(order), "revision_id", revisions)
        for revision, *values in rows.values_list("revision_id", *names):
            found[revision].append(made(*map(_value, names, values)))
    return {revision: tuple(parts) for revision, parts in found.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return _plain(value)
    return _ENUMS[name](value) if name in _ENUMS else value


def _plain(value: Decimal) -> Decimal:
    """Without the zeros that the column adds, so that what is read equals what was agreed."""
    whole = value.to_integral_value()
    return whole if value == whole else value.normalize()
