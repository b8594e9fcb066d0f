"""Whatever is sent how often, split and ordered how ever, and whoever dies on the way: the ledger is what the rule says.

The rule is computed by tests/metering/identity_model.py, which shares nothing with the SQL.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models import QuerySet
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metering.clickhouse import client
from metering.ingest import drain as drain_module
from metering.ledger import seal_usage
from tests.metering.identity_model import DAY_MS, HOUR_MS, MINUTE_MS, TENANTS, Sent, World, judged, ledger_of
from tests.metering.rows import empty_tables

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]

# The fixtures are one spool and one database for all examples of a test; every example has tenants of its own.
# An example takes a second or more of a busy laptop, so each holds many events. `PROPERTY_EXAMPLES=500` looks harder.
EXAMPLES = settings(
    max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "8")),
    deadline=None,
    # Making a failing example small takes minutes: only when somebody is looking for one.
    phases=tuple(Phase) if "PROPERTY_EXAMPLES" in os.environ else (Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OFFSETS = (
    None, None, 0, 0, 0, -1, -20 * MINUTE_MS, -12 * HOUR_MS, -DAY_MS + 1, -DAY_MS, -DAY_MS - 1, -2 * DAY_MS, -30 * DAY_MS,
)  # fmt: skip
CONTENTS: tuple[tuple[tuple[str, Any], ...], ...] = (
    (),
    (),
    (("output_tokens", 3),),
    (("model", "n"),),
    (("status", "error"), ("input_tokens", 32_001), ("cached_input_tokens", 7)),
    (("project", "p"), ("input_tokens", 32_000), ("reasoning_tokens", 1), ("cache_write_tokens", 5)),
)
PAUSES = (0, 0, 0, HOUR_MS, DAY_MS - 1, DAY_MS, DAY_MS + 1)

SENT = st.builds(
    Sent,
    tenant=st.integers(0, TENANTS - 1),
    source=st.sampled_from(("", "gw")),
    id=st.sampled_from("ab"),
    offset_ms=st.sampled_from(OFFSETS),
    content=st.sampled_from(CONTENTS),
)
ROAD = st.tuples(st.booleans(), st.sampled_from((1, 2, 500_000)))  # by reference; the most rows of a group


@dataclass(frozen=True)
class Delivery:
    """A batch, and what happens after it."""

    batch: list[Sent]
    observed: bool
    pause_ms: int
    then: str


DELIVERY = st.builds(
    Delivery,
    batch=st.lists(SENT, min_size=1, max_size=10),
    observed=st.sampled_from((False, False, False, True)),
    pause_ms=st.sampled_from(PAUSES),
    then=st.sampled_from(("nothing", "drain", "seal", "seal")),
)


@pytest.fixture(autouse=True)
def nothing_before(ledger: object) -> None:
    """A seal covers all tenants, so what other tests left behind would be counted here too."""
    empty_tables("requests", "usage_ledger", "quarantine")


@contextmanager
def road(by_reference: bool, most: int) -> Iterator[None]:
    """Groups of at most so many rows, by reference where this ClickHouse can."""
    reads = by_reference and django_settings.CLICKHOUSE_READS_SPOOL
    with pytest.MonkeyPatch.context() as patch, override_settings(CLICKHOUSE_READS_SPOOL=reads):
        patch.setattr(drain_module, "GROUP_ROWS", most)
        yield


def test_a_worlds_clock_stands_still(spool: Path) -> None:
    """Else a slow machine decides whether what was used 24 hours before an arrival is one request with it."""
    for _ in range(2):
        world = World(spool)
        for _ in range(3):
            world.deliver([Sent(0, "", "a", None)])
            time.sleep(0.002)
        assert {arrival.at_ms for arrival in world.arrivals} == {world.base_ms}
        world.drain()
        world.seal()
        check(world)


@EXAMPLES
@given(deliveries=st.lists(DELIVERY, min_size=1, max_size=6), taken=ROAD)
def test_the_ledger_is_what_the_rule_says_after_every_step(
    spool: Path, deliveries: list[Delivery], taken: tuple[bool, int]
) -> None:
    world = World(spool)
    with road(*taken):
        for delivery in deliveries:
            world.deliver(delivery.batch, observed=delivery.observed)
            world.pass_time(delivery.pause_ms)
            if delivery.then != "nothing":
                world.drain()
                assert world.current() == world.expected(world.inserted)
            if delivery.then == "seal":
                world.seal()
                assert world.in_ledger() == world.in_raw_events() == world.expected(world.inserted)
        world.drain()
        world.seal()
    check(world)


def check(world: World) -> None:
    """Everything is inserted and sealed: every reader says what the model says."""
    verdict = judged(world.arrivals)
    expected = ledger_of(verdict.billed, world.tenants)
    assert world.in_ledger() == expected
    assert world.in_raw_events() == expected
    assert world.current() == expected
    assert world.of_one_tenant(0) == {key: value for key, value in expected.items() if key[0] == world.tenants[0]}
    assert world.ledger_differences() == []
    assert (world.duplicates, world.conflicts) == (len(verdict.duplicates), len(verdict.conflicts))
    assert world.listed_conflicts() == {(each.batch, each.row) for each in verdict.conflicts}
    assert Counter(world.stored()) == Counter((each.batch, each.row) for each in world.arrivals)


def totals(world: World) -> Counter[Any]:
    """The ledger without the hour, and with the tenants numbered: what two worlds can be compared by."""
    found: Counter[Any] = Counter()
    for (tenant, _, *groups), measures in world.in_ledger().items():
        for position, value in enumerate(measures):
            found[world.tenants.index(tenant), tuple(groups), position] += value
    return found


def carried_out(spool: Path, sent: list[Sent], cuts: set[int], pauses: dict[int, int], seals: set[int]) -> World:
    """Deliver in this order, a batch ending at each cut, each pause and each seal."""
    world = World(spool)
    begin = 0
    for end in sorted(cuts | pauses.keys() | seals | {len(sent)}):
        if end > begin:
            world.deliver(sent[begin:end])
            begin = end
        world.pass_time(pauses.get(end, 0))
        if end in seals:
            world.drain()
            world.seal()
    world.drain()
    world.seal()
    return world


@EXAMPLES
@given(data=st.data(), sent=st.lists(SENT, min_size=2, max_size=30))
def test_two_splits_of_the_same_order_give_the_same_ledger(spool: Path, data: st.DataObject, sent: list[Sent]) -> None:
    places = st.integers(1, len(sent))
    pauses = data.draw(st.dictionaries(places, st.sampled_from(PAUSES), max_size=2))
    one, two = (
        carried_out(spool, sent, data.draw(st.sets(places)), pauses, data.draw(st.sets(places, max_size=2)))
        for _ in range(2)
    )
    assert totals(one) == totals(two)
    check(two)


def without_conflicts(identities: list[tuple[int, str, str]], seed: int) -> list[Sent]:
    """One or two events for each identity: all copies of one are alike, and two of an identity lie days apart."""
    made = []
    for number, (tenant, source, name) in enumerate(identities):
        content = CONTENTS[(seed + number) % len(CONTENTS)]
        if (seed >> number) % 3 == 0:
            made.append(Sent(tenant, source, name, None, content))
            continue
        made.append(Sent(tenant, source, name, -number * HOUR_MS, content))
        if (seed >> number) % 2:
            made.append(Sent(tenant, source, name, -number * HOUR_MS - DAY_MS - 1, CONTENTS[number % len(CONTENTS)]))
    return made


@EXAMPLES
@given(
    data=st.data(),
    identities=st.lists(
        st.tuples(st.integers(0, TENANTS - 1), st.sampled_from(("", "gw")), st.sampled_from("abc")),
        min_size=3,
        max_size=12,
        unique=True,
    ),
    seed=st.integers(0, 2**16),
)
def test_without_conflicts_any_order_and_any_repetition_give_the_same_ledger(
    spool: Path, data: st.DataObject, identities: list[tuple[int, str, str]], seed: int
) -> None:
    once = without_conflicts(identities, seed)
    places = st.integers(1, len(once))
    plain = carried_out(spool, once, set(), {}, set())
    more = data.draw(st.permutations(once + data.draw(st.lists(st.sampled_from(once), max_size=8))))
    other = carried_out(spool, more, data.draw(st.sets(places)), {}, data.draw(st.sets(places, max_size=2)))
    assert totals(plain) == totals(other)
    assert sum(plain.in_ledger()[key][0] for key in plain.in_ledger()) == len(once)
    assert other.conflicts == 0


class Killed(BaseException):
    """Stands for kill -9: no handler of the code under test takes it."""


# Whatever changes something that outlives the process, or asks for it. Between any two of them a process may die.
EFFECTS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (os, ("fsync",)),
    (Path, ("rename", "replace", "unlink")),
    (client, tuple(name for name in vars(client) if name in {"run", "statement"} or name.startswith("insert"))),
    (QuerySet, ("create", "update", "bulk_create")),
)


@contextmanager
def fuse(length: int, *, after: bool) -> Iterator[None]:
    """Die before or after the `length`-th effect from here on."""
    begun = count(1)

    def fused(real: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*args: Any, **options: Any) -> Any:
            mine = next(begun)
            if mine == length and not after:
                raise Killed
            result = real(*args, **options)
            if mine == length:
                raise Killed
            return result

        return effect

    with pytest.MonkeyPatch.context() as patch:
        for owner, names in EFFECTS:
            for name in names:
                patch.setattr(owner, name, fused(getattr(owner, name)))
        yield


def dies(action: Callable[[], Any], length: int, *, after: bool) -> None:
    """Run the action until the fuse kills it, or to its end if that comes first."""
    with suppress(Killed), fuse(length, after=after):
        action()


CRASHES = st.lists(st.tuples(st.integers(1, 16), st.booleans()), min_size=1, max_size=3)


@EXAMPLES
@given(batches=st.lists(st.lists(SENT, min_size=1, max_size=8), min_size=1, max_size=4), crashes=CRASHES, taken=ROAD)
def test_a_drain_that_dies_anywhere_loses_and_doubles_nothing(
    spool: Path,
    batches: list[list[Sent]],
    crashes: list[tuple[int, bool]],
    taken: tuple[bool, int],
) -> None:
    world = World(spool)
    with road(*taken):
        for batch in batches:
            world.deliver(batch)
        for length, after in crashes:
            dies(world.drain, length, after=after)
        world.deliver(batches[0])  # sent again meanwhile, as a sender does who has no answer
        world.drain()
        world.seal()
    check(world)


@EXAMPLES
@given(batches=st.lists(st.lists(SENT, min_size=1, max_size=8), min_size=2, max_size=4), crashes=CRASHES)
def test_a_seal_that_dies_anywhere_bills_nothing_twice_and_forgets_nothing(
    spool: Path, batches: list[list[Sent]], crashes: list[tuple[int, bool]]
) -> None:
    world = World(spool)
    world.deliver(batches[0])
    world.drain()
    world.seal()
    for batch in batches[1:]:
        world.deliver(batch)
    world.drain()
    world.settle()
    for length, after in crashes:
        dies(lambda: seal_usage(now=True), length, after=after)
    assert world.current() == world.expected(world.inserted)
    world.seal()
    verdict = judged(world.arrivals)
    expected = ledger_of(verdict.billed, world.tenants)
    assert world.in_ledger() == world.in_raw_events() == world.current() == expected
    assert world.ledger_differences() == []
    assert world.listed_conflicts() == {(each.batch, each.row) for each in verdict.conflicts}
