"""What a change of prices would change about invoices that are final. It cannot change them, but it would contradict them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from billing import rating
from billing.models import InvoiceLine, InvoiceState
from billing.pricebook import books
from billing.pricebook.rows import Key, PriceRow
from billing.rating.prices import stand_ins

FIELDS = ("model", "kind", "tier", "operation", "region", "context_over", "start", "end")
MOST_NAMED = 200  # models in a statement; of more, all lines are read
Sides = tuple[rating.PriceSheet, rating.PriceSheet]  # before, after
Changes = Iterator[tuple[PriceRow, datetime]]


@dataclass(frozen=True)
class Billed:
    """A line of usage: what its price asked for, and when."""

    model: str
    kind: str
    tier: str
    operation: str
    region: str
    context_over: int
    start: datetime
    end: datetime


def until(rows: Sequence[PriceRow], book: str) -> datetime | None:
    """The end of the last invoiced line to which the book would give another price if these rows, each with its moment, were added.

    A line names what its price asked for; usage that a more specific price would match may or may not be in it, and is taken to be.
    """
    latest = (next(found, None) for found in _changes(rows, book))
    return max((end for _, end in filter(None, latest)), default=None)


def touched(rows: Sequence[PriceRow], book: str) -> set[Key]:
    """The keys of those rows that would give an invoiced line another price, together with the others."""
    return {row.key for found in _changes(rows, book) for row, _ in found}


def _changes(rows: Sequence[PriceRow], book: str) -> Iterator[Changes]:
    """By currency and by the contract's book beside the list: each row with the end of a line that it would change, the latest first."""
    version = books.current_version(book) + 1
    for currency in sorted({row.currency for row in rows}):
        mine = [row for row in rows if row.currency == currency]
        added = [books.rule(row, moment, version, book) for row in mine if (moment := row.effective_from)]
        if not added:
            continue
        lines = _lines(currency, min(rule.effective_from for rule in added), mine)
        for beside, of_it in _by_book(lines, book):
            before = books.sheet(currency, beside)
            versions = before.versions | {book: version}
            after = rating.PriceSheet([*before, *added], versions=versions, currency=currency)
            yield _changed_lines(of_it, _ByKind(mine), (before, after))


class _ByKind:
    """Rows to be found by the lines that they may concern."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._held: dict[str, dict[str, list[PriceRow]]] = {}
        for row in rows:
            self._held.setdefault(row.kind, {}).setdefault(row.model, []).append(row)

    def concerning(self, line: Billed) -> Iterator[PriceRow]:
        for kind in stand_ins(line.kind):
            models = self._held.get(kind, {})
            # A price with tiers bills all models that it matches on one line, whose model is its own: '*' perhaps.
            for model in models if line.model == rating.ANY_MODEL else (line.model, rating.ANY_MODEL):
                yield from models.get(model, ())


def _changed_lines(lines: "QuerySet[InvoiceLine]", rows: _ByKind, sides: Sides) -> Changes:
    """Each model and period once, however many tenants were billed for it."""
    for values in lines.order_by("-end").values_list(*FIELDS).distinct().iterator():
        line = Billed(*values)
        for row in rows.concerning(line):
            if _changed(line, _usage(line, row), sides):
                yield row, line.end


def _lines(currency: str, starts: datetime, rows: Sequence[PriceRow]) -> "QuerySet[InvoiceLine]":
    lines = InvoiceLine.objects.filter(
        type=rating.LineType.USAGE.value,
        invoice__finalised_at__isnull=False,
        invoice__period_end__gt=starts,
        invoice__currency=currency,
        billed=True,
        end__gt=starts,
    ).exclude(invoice__state__status=InvoiceState.Status.VOID)
    models = {row.model for row in rows}
    everything = rating.ANY_MODEL in models or len(models) > MOST_NAMED
    return lines if everything else lines.filter(model__in=[*models, rating.ANY_MODEL])


def _by_book(lines: "QuerySet[InvoiceLine]", book: str) -> Iterator[tuple[str, "QuerySet[InvoiceLine]"]]:
    """The lines of those whose contract names no book (''), and of each that names one. A contract's book is in its own sheets alone."""
    if book != books.LIST:
        yield book, lines.filter(invoice__price_versions__has_key=book)
        return
    versions = lines.order_by().values_list("invoice__price_versions", flat=True).distinct()
    named = sorted({name for held in versions for name in held if name != books.LIST})
    yield "", lines.exclude(invoice__price_versions__has_any_keys=named) if named else lines
    for name in named:
        yield name, lines.filter(invoice__price_versions__has_key=name)


def _usage(line: Billed, row: PriceRow) -> rating.Asked:
    """The usage of the line that the row may match: what the line leaves open is as the row has it."""
    model = row.model if line.model == rating.ANY_MODEL else line.model
    tier, operation, region = line.tier or row.tier, line.operation or row.operation, line.region or row.region
    return rating.Asked(model, tier, operation, region, _beyond(max(line.context_over, row.context_over)))


def _beyond(context_over: int) -> int:
    return context_over + 1 if context_over else 0


def _changed(line: Billed, like: rating.Asked, sides: Sides) -> bool:
    for moment in (line.start, *sides[1].changes(line.start, line.end)):
        old, new = (sheet.rule(like, line.kind, moment) for sheet in sides)
        if old is not None and _matchers(old) != _matchers(line):
            continue  # billed on another line, which is looked at for itself
        if _terms(old) != _terms(new):
            return True
    return False


def _matchers(one: rating.PriceRule | Billed) -> tuple[str, str, int]:
    return (one.operation, one.region, one.context_over)


def _terms(rule: rating.PriceRule | None) -> tuple[Any, ...]:
    return () if rule is None else (rule.charge_model, rule.amount, rule.per, rule.tiers, rule.rate, rule.fixed)
