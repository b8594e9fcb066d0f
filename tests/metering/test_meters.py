"""Defining meters: what is taken, what is refused by name, and how soon a definition holds."""

import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from metering import meter_paths, meters
from metering.ingest.decoders import cloudevents, litellm
from metering.meters import InvalidMeter, MeterExists
from metering.models import Meter
from tests.metering.meter_rows import define

pytestmark = pytest.mark.django_db

GOOD: dict[str, Any] = {"event_type": "gpu.used", "aggregation": "SUM", "value_path": "$.gpu_hours"}


@pytest.fixture
def slug() -> str:
    return f"m_{uuid4().hex[:12]}"


def test_a_meter_is_found_by_slug_and_by_id_as_it_was_defined(slug: str) -> None:
    made = meters.create(slug, **GOOD, group_by={"gpu_type": "$.gpu.type"}, unit="h", description="GPU-hours")
    assert meters.find(slug) == meters.find(made.id) == made
    assert (made.value_names, made.group_names) == (("gpu_hours",), {"gpu_type": ("gpu", "type")})
    assert made in meters.everything()


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("slug", {"slug": "1st"}),
        ("slug", {"slug": "GPU"}),
        ("slug", {"slug": "a-b"}),
        ("slug", {"slug": "a__b"}),
        ("slug", {"slug": "a_"}),
        ("slug", {"slug": "a\n"}),
        ("slug", {"slug": ""}),
        ("slug", {"slug": "a" * 64}),
        ("slug", {"slug": "tokens_input"}),
        ("event_type", {"event_type": ""}),
        ("event_type", {"event_type": "x" * 129}),
        ("event_type", {"event_type": "tallywatt.request"}),
        ("event_type", {"event_type": "litellm_tokens"}),
        ("event_type", {"event_type": "a\x00b"}),
        ("aggregation", {"aggregation": "AVG"}),
        ("value_path", {"value_path": ""}),
        ("value_path", {"value_path": "$"}),
        ("value_path", {"value_path": "gpu_hours"}),
        ("value_path", {"value_path": "$.a[0]"}),
        ("value_path", {"value_path": "$..a"}),
        ("value_path", {"value_path": "$.a'b"}),
        ("value_path", {"value_path": "$.*"}),
        ("value_path", {"value_path": "$.a\n"}),
        ("value_path", {"value_path": "$" + ".a" * 17}),
        ("value_path", {"aggregation": "COUNT"}),
        ("group_by", {"group_by": {"a b": "$.a"}}),
        ("group_by", {"group_by": {"subject": "$.a"}}),
        ("group_by", {"group_by": {"a": "a"}}),
        ("group_by", {"group_by": {f"g{n}": "$.a" for n in range(17)}}),
        ("unit", {"unit": "x" * 65}),
        ("description", {"description": "x" * 1001}),
    ],
)
def test_a_definition_that_cannot_be_is_refused_by_field(slug: str, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidMeter) as refused:
        meters.create(**({"slug": slug} | GOOD | given))
    assert refused.value.field == field
    assert not Meter.objects.filter(slug=slug).exists()


def test_a_slug_is_given_once_even_after_its_meter_was_archived(slug: str) -> None:
    meters.create(slug, **GOOD)
    with pytest.raises(MeterExists):
        meters.create(slug, **GOOD)
    assert meters.archive(slug)
    assert not meters.archive(slug)
    with pytest.raises(MeterExists):
        meters.create(slug, **GOOD)


def test_an_archived_meter_takes_no_events_and_is_still_found() -> None:
    meter = define()
    assert meters.reading(meter.event_type) == (meter,)
    meters.archive(meter.slug)
    assert meters.reading(meter.event_type) == ()
    found = meters.find(meter.slug)
    assert found is not None
    assert found.archived_at is not None
    assert meter.slug not in {info.slug for info in meters.everything()}
    assert found in meters.everything(archived=True)


def test_an_update_changes_groups_and_words_and_nothing_else(slug: str) -> None:
    before = meters.create(slug, **GOOD, group_by={"a": "$.a"})
    after = meters.update(slug, description="new", unit="h", group_by={"b": "$.b.c"})
    assert after is not None
    assert (after.description, after.unit, after.group_by) == ("new", "h", {"b": "$.b.c"})
    assert (after.event_type, after.aggregation, after.value_path) == (
        before.event_type,
        before.aggregation,
        "$.gpu_hours",
    )
    with pytest.raises(InvalidMeter):
        meters.update(slug, description="", unit="", group_by={"b": "no path"})
    assert meters.update("no_such_meter", description="", unit="", group_by={}) is None


def test_a_meter_that_another_process_defined_takes_events_at_once(slug: str) -> None:
    kind = f"type.{slug}"
    assert meters.reading(kind) == ()
    # As another process would: this one's snapshot is not told.
    Meter.objects.create(slug=slug, event_type=kind, aggregation="COUNT")
    deadline = meters.MISS_FRESH_S * 2
    meters._snapshot = (meters._snapshot[0] - deadline, meters._snapshot[1]) if meters._snapshot else None
    assert [meter.slug for meter in meters.reading(kind)] == [slug]


def test_a_known_type_is_answered_from_memory_and_a_flood_of_unknown_ones_asks_hardly_more(
    django_assert_max_num_queries: Any,
) -> None:
    meter = define()
    meters.reading(meter.event_type)
    with django_assert_max_num_queries(0):
        for _ in range(100):
            meters.reading(meter.event_type)
    with django_assert_max_num_queries(20):
        for number in range(1000):
            meters.reading(f"unknown.{number}")


def test_the_types_that_are_requests_are_those_of_the_decoder() -> None:
    assert (meters.REQUEST, meters.LITELLM) == (cloudevents.REQUEST, litellm.EVENT_TYPE)


def test_paths_find_nested_values_and_nothing_in_what_is_no_object() -> None:
    data = {"a": {"b": 1, "c": None}, "d": [1]}
    assert [
        meter_paths.value_at(data, meter_paths.names(path)) for path in ("$.a.b", "$.a.c", "$.a.b.c", "$.d.e", "$.x")
    ] == [
        1,
        None,
        None,
        None,
        None,
    ]


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("define_meter", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_command_defines_a_meter_and_archives_it(slug: str) -> None:
    arguments = ("--event-type", "gpu.used", "--aggregation", "sum", "--value-path", "$.gpu_hours", "--unit", "h")
    assert command(slug, *arguments, "--group-by", "gpu_type=$.gpu.type", "--group-by", "pool=$.pool") == slug
    found = meters.find(slug)
    assert found is not None
    assert json.dumps(found.group_by, sort_keys=True) == '{"gpu_type": "$.gpu.type", "pool": "$.pool"}'
    assert command(slug, "--archive") == slug
    with pytest.raises(CommandError, match="no active meter"):
        command(slug, "--archive")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required"),
        (("--event-type", "t", "--aggregation", "AVG"), "aggregation"),
        (("--event-type", "t", "--aggregation", "COUNT", "--group-by", "a"), "NAME=PATH"),
        (("--event-type", "t", "--aggregation", "COUNT", "--group-by", "a=$.a", "--group-by", "a=$.b"), "once"),
    ],
)
def test_the_command_says_what_is_wrong(slug: str, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        command(slug, *arguments)
