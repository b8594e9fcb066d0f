"""What holds for any usage, any prices and any agreement."""

import random
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from billing import rating
from billing.rating import graduated, package, volume
from billing.rating.terms import Allowance, AppliesTo, Discount, FlatFee, PercentageFee, Terms
from tests.billing.prices import DAY, END, MIDDLE, START, metered, price, rate, sheet

MODELS = ("m", "n")
BATCHES = ("standard", "batch")
EDGES = (START, START + 5 * DAY, MIDDLE, START + 20 * DAY, END)
MONEY = st.integers(0, 10_000).map(lambda cents: Decimal(cents).scaleb(-2))
SHARES = st.integers(0, 100).map(lambda percent: Decimal(percent).scaleb(-2))
AMOUNTS = st.decimals(0, 100, places=6)


@st.composite
def tables(draw: st.DrawFn, *, rising: bool = False) -> tuple[rating.Tier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 10**7), max_size=4)))
    amounts = draw(st.lists(AMOUNTS, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    flats = draw(st.lists(MONEY, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    if rising:
        amounts, flats = sorted(amounts), sorted(flats)
    rows = zip([*map(Decimal, bounds), None], amounts, flats, strict=True)
    return tuple(rating.Tier(*row) for row in rows)


@st.composite
def rules(draw: st.DrawFn, kind: str, **where: Any) -> rating.PriceRule:
    charge_model = draw(st.sampled_from(["per_unit", "graduated", "volume", "package"]))
    per = draw(st.sampled_from([1, 3, 1_000, 10**6]))
    table = draw(tables()) if charge_model in {"graduated", "volume"} else ()
    return price(kind, str(draw(AMOUNTS)), charge_model=charge_model, per=per, tiers=table, **where)


@st.composite
def books(draw: st.DrawFn) -> rating.PriceSheet:
    found = [draw(rules(kind, model="*")) for kind in rating.Kind]
    found += [draw(rules("meter:gpu_hours", model="*")), draw(rules("request", model="n"))]
    for kind in rating.Kind:
        for where in ({"model": "m"}, {"model": "m", "tier": "batch"}, {"model": "*", "region": "eu"}):
            if draw(st.booleans()):
                found.append(draw(rules(kind, **where)))
            if draw(st.booleans()):
                found.append(draw(rules(kind, **where, effective_from=draw(st.sampled_from(EDGES[1:-1])), version=2)))
    return sheet(*found)


@st.composite
def agreements(draw: st.DrawFn) -> rating.Agreement:
    return rating.Agreement(
        tuple(rating.Stretch(start, end, (end - start).days, draw(terms())) for start, end in _spans(draw)), 31
    )


def _spans(draw: st.DrawFn) -> list[tuple[datetime, datetime]]:
    inner = sorted(draw(st.sets(st.sampled_from(EDGES[1:-1]), max_size=2)))
    return list(pairwise((START, *inner, END)))


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    scope = st.sampled_from(("*", "m"))
    return Terms(
        active=draw(st.booleans()),
        flat_fees=tuple(draw(st.lists(st.builds(FlatFee, st.just("f"), st.just("Fee"), MONEY), max_size=1))),
        percentage_fees=tuple(
            draw(st.lists(st.builds(PercentageFee, st.just("p"), st.just("Share"), SHARES, MONEY), max_size=1))
        ),
        allowances=tuple(
            Allowance(
                f"a{number}",
                draw(scope),
                draw(st.sampled_from(["input", "output"])),
                "",
                Decimal(draw(st.integers(0, 10**7))),
            )
            for number in range(draw(st.integers(0, 2)))
        ),
        discounts=tuple(
            Discount(f"d{number}", "Off", draw(st.sampled_from(AppliesTo)), draw(scope), *off)
            for number, off in enumerate(
                draw(st.lists(st.one_of(st.tuples(SHARES), st.tuples(st.none(), MONEY)), max_size=3))
            )
        ),
        commitment=draw(MONEY),
    )


@st.composite
def usages(draw: st.DrawFn) -> list[rating.Usage]:
    found = []
    for start, end in draw(st.lists(st.sampled_from(list(pairwise(EDGES))), max_size=5)):
        cached, written, uncached, reasoning, visible = (draw(st.integers(0, 10**7)) for _ in range(5))
        found.append(
            rating.Usage(
                start=start,
                end=end,
                model=draw(st.sampled_from(MODELS)),
                tier=draw(st.sampled_from(BATCHES)),
                status=draw(st.sampled_from(("ok", "ok", "cancelled", "error"))),
                requests=draw(st.integers(0, 100)),
                tokens=rating.Tokens(cached + written + uncached, cached, written, reasoning + visible, reasoning),
                region=draw(st.sampled_from(("eu", "us"))),
            )
        )
    return found


METERS = st.lists(
    st.builds(
        lambda span, quantity: metered(str(quantity), start=span[0], end=span[1], events=1),
        st.sampled_from(list(pairwise(EDGES))),
        st.decimals(0, 10**6, places=6),
    ),
    max_size=3,
)


@settings(deadline=None, max_examples=40)
@given(usages(), METERS, agreements(), books())
def test_lines_add_up_and_rating_again_is_identical(
    usage: list[rating.Usage], meters: list[rating.MeterUsage], agreement: rating.Agreement, book: rating.PriceSheet
) -> None:
    lines = rate(usage, book, agreement, meters)
    again = rate(usage, sheet(*reversed(list(book))), agreement, meters)
    assert lines == again
    assert len({line.key for line in lines}) == len(lines)
    tokens = sum(line.quantity for line in lines if line.unit == "tokens")
    assert tokens == sum(one.tokens.input + one.tokens.output for one in usage)
    for line in lines:
        assert line.amount is not None
        assert line.amount_exact is not None
        assert line.residual is not None
        assert Fraction(line.amount) + Fraction(line.residual) == Fraction(line.amount_exact)
        assert line.start < line.end
        assert 0 <= line.included <= max(line.quantity, 0)
    (tax,) = rating.taxes([(Decimal("0.19"), line.amount or Decimal(0)) for line in lines], "USD") or (None,)
    assert (tax.base if tax else 0) == sum(line.amount for line in lines if line.amount)


@settings(deadline=None, max_examples=40)
@given(usages(), METERS, agreements(), books(), st.randoms(use_true_random=False))
def test_splitting_and_shuffling_usage_changes_no_line(
    usage: list[rating.Usage],
    meters: list[rating.MeterUsage],
    agreement: rating.Agreement,
    book: rating.PriceSheet,
    chance: random.Random,
) -> None:
    pieces = [piece for one in usage for piece in _split(one, chance)]
    chance.shuffle(pieces)
    halves = [half for one in meters for half in _halves(one)]
    assert rate(pieces, book, agreement, halves) == rate(usage, book, agreement, meters)


@settings(deadline=None, max_examples=40)
@given(usages(), agreements(), books(), st.sampled_from(EDGES[1:-1]))
def test_cutting_a_stretch_in_two_changes_no_line(
    usage: list[rating.Usage], agreement: rating.Agreement, book: rating.PriceSheet, at: datetime
) -> None:
    stretches = []
    for one in agreement.stretches:
        cut = [one.start, at, one.end] if one.start < at < one.end else [one.start, one.end]
        stretches += [replace(one, start=a, end=b, days=(b - a).days) for a, b in pairwise(cut)]
    finer = replace(agreement, stretches=tuple(stretches))
    assert _amounts(rate(usage, book, finer)) == _amounts(rate(usage, book, agreement))


@settings(deadline=None, max_examples=40)
@given(usages(), METERS, agreements(), books())
def test_costs_sum_to_the_lines(
    usage: list[rating.Usage], meters: list[rating.MeterUsage], agreement: rating.Agreement, book: rating.PriceSheet
) -> None:
    parts = [part for found in rating.costed(usage, meters, agreement, book, START, END) for part in found]
    for line in rate(usage, book, agreement, meters):
        if line.type is rating.LineType.USAGE:
            mine = [part for part in parts if part.line_key == line.key]
            assert sum(part.quantity for part in mine) == line.quantity
            assert sum(Fraction(part.cost or 0) for part in mine) == Fraction(line.amount_exact or 0)


@settings(deadline=None, max_examples=40)
@given(usages(), usages(), usages(), agreements(), books())
def test_what_was_billed_and_its_adjustments_are_the_rating_of_it_all(
    first: list[rating.Usage],
    late: list[rating.Usage],
    later: list[rating.Usage],
    agreement: rating.Agreement,
    book: rating.PriceSheet,
) -> None:
    """billed(as of w1) + adjustment(w1 -> w2) + adjustment(w2 -> w3) = rate-and-round(as of w3), line by line."""
    billed = rate(first, book, agreement)
    for now in (rate(first + late, book, agreement), rate(first + late + later, book, agreement)):
        billed += rating.adjustments(billed, now, "TW-2026-000001", "USD")
        assert _sums(billed) == _sums(now)
        assert rating.adjustments(billed, now, "TW-2026-000001", "USD") == ()


@given(tables(), st.lists(st.integers(0, 2 * 10**7), min_size=2, max_size=6), st.sampled_from([1, 3, 10**6]))
def test_a_graduated_charge_never_falls(table: tuple[rating.Tier, ...], quantities: list[int], per: int) -> None:
    charges = [Fraction(graduated.amount(Decimal(quantity), table, per)) for quantity in sorted(quantities)]
    assert charges == sorted(charges)


@given(tables(), st.lists(st.integers(0, 2 * 10**7), min_size=2, max_size=6), st.sampled_from([1, 3, 10**6]))
def test_a_volume_charge_falls_only_at_the_bounds_that_are_named(
    table: tuple[rating.Tier, ...], quantities: list[int], per: int
) -> None:
    near = [int(tier.up_to) + more for tier in table if tier.up_to for more in (0, 1)]
    charges = [Fraction(volume.amount(Decimal(quantity), table, per)) for quantity in sorted(quantities + near)]
    if not rating.volume_drops(table, per):
        assert charges == sorted(charges)


@given(tables(rising=True), st.sampled_from([1, 3, 10**6]))
def test_tiers_that_only_rise_have_no_drop(table: tuple[rating.Tier, ...], per: int) -> None:
    assert rating.tier_problems(table) == ()
    assert rating.volume_drops(table, per) == ()


@given(tables(), st.sampled_from([1, 3, 10**6]))
def test_a_drop_that_is_named_is_there(table: tuple[rating.Tier, ...], per: int) -> None:
    drops = rating.volume_drops(table, per)
    assume(drops)
    least = Decimal("0.000001")
    falls = [
        tier.up_to
        for tier in table
        if tier.up_to
        and Fraction(volume.amount(tier.up_to + least, table, per)) < Fraction(volume.amount(tier.up_to, table, per))
    ]
    assert falls


@given(st.integers(0, 10**9), AMOUNTS, st.integers(1, 10**6))
def test_packages_are_the_fewest_that_hold_the_quantity(quantity: int, amount: Decimal, per: int) -> None:
    count = package.packages(Decimal(quantity), per)
    assert count * per >= quantity
    assert (count - 1) * per < quantity or count == 0
    assert package.amount(Decimal(quantity), amount, per) == count * amount


def _split(usage: rating.Usage, chance: random.Random) -> list[rating.Usage]:
    """Two that add up to the one, kind by kind."""
    whole = rating.partition(usage.tokens)
    one = {kind: chance.randint(0, quantity) for kind, quantity in whole.items()}
    other = {kind: quantity - one[kind] for kind, quantity in whole.items()}
    requests = chance.randint(0, usage.requests)
    return [
        replace(usage, tokens=_joined(one), requests=requests),
        replace(usage, tokens=_joined(other), requests=usage.requests - requests),
    ]


def _joined(parts: dict[rating.Kind, int]) -> rating.Tokens:
    kind = rating.Kind
    cached, written, reasoning = parts[kind.CACHED_INPUT], parts[kind.CACHE_WRITE], parts[kind.REASONING]
    return rating.Tokens(
        parts[kind.INPUT] + cached + written, cached, written, parts[kind.OUTPUT] + reasoning, reasoning
    )


def _halves(meter: rating.MeterUsage) -> list[rating.MeterUsage]:
    half = Decimal(int(meter.quantity // 2))
    return [replace(meter, quantity=half, events=0), replace(meter, quantity=meter.quantity - half)]


def _amounts(lines: tuple[rating.Line, ...]) -> list[tuple[Any, ...]]:
    return [(line.key, line.quantity, line.amount_exact, line.amount) for line in lines]


def _sums(lines: tuple[rating.Line, ...]) -> dict[str, tuple[Fraction, ...]]:
    """Per line that is billed, in all."""
    found: dict[str, list[Fraction]] = {}
    for line in lines:
        if line.billed:
            held = found.setdefault(line.key, [Fraction(0)] * 4)
            values = (line.quantity, line.included, line.amount_exact or 0, line.amount or 0)
            found[line.key] = [one + Fraction(value) for one, value in zip(held, values, strict=True)]
    return {key: tuple(values) for key, values in found.items() if any(values)}
