"""What a sample may hold: every field by its rule, with the reason; and both roads, read at once or field by field, agree on it."""

import json
import math
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering.agent.plausible import GPU_LIMITS, fitting
from metering.agent.samples import (
    ENGINE,
    ENGINE_KINDS,
    GPU,
    GPU_SOURCES,
    THROTTLE_REASONS,
    EngineSample,
    GpuSample,
    wire,
)
from metering.clickhouse import migrate
from metering.contracts import RAW_TELEMETRY_DAYS, Credential
from metering.ingest.context import Context
from metering.ingest.decoders import ndjson
from metering.ingest.decoders.telemetry import read_arrow, read_lines
from metering.ingest.telemetry_checking import SampleBatch, check, check_each
from metering.ingest.telemetry_records import KINDS
from tests.metering.ingest.samples import COUNTERS, DAY_MS, NOW_MS, READINGS, arrow, engine, gpu, lines

MOST = 1000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(hours=1)
CONTEXT = Context(Credential("0" * 12, None, frozenset(), False), NOW, timedelta(days=3653), timedelta(minutes=10))
AHEAD_MS = 3_600_000 + 600_000  # NOW is an hour after NOW_MS, and samples may be ten minutes ahead of it
SQL = {name: (Path(migrate.__file__).parent / f"migrations/{name}").read_text() for name in
       ("0007_gpu_samples.sql", "0008_engine_samples.sql")}  # fmt: skip
SHARES = [name for name in READINGS if name.endswith(("_active", "_utilization", "_occupancy"))]
COUNTS = [name for name, value in COUNTERS.items() if isinstance(value, int)]
INT64_BLANKS = [0x7FFFFFFFFFFFFFF0 + step for step in range(4)]
INT32_BLANKS = [0x7FFFFFF0 + step for step in range(4)]


def refusals(*samples: dict[str, Any]) -> list[tuple[str, str]]:
    return [(reject.field, reject.reason.value) for reject in check(read_lines(lines(*samples), MOST), CONTEXT).rejects]


def refused(sample: dict[str, Any]) -> tuple[str, str]:
    (one,) = refusals(sample)
    return one


def test_fields_are_those_of_the_agent_and_of_the_tables() -> None:
    for kind, sample in ((GPU, GpuSample), (ENGINE, EngineSample)):
        names = {each.name for each in fields(sample)}
        assert set(KINDS[kind].fields) == names
        ours = {"api_key", "ingested_at", "batch", "row"} | ({"throttle_known"} if kind == GPU else set())
        assert set(KINDS[kind].schema.names) == names | ours
        (sql,) = (text for name, text in SQL.items() if kind in name)
        assert set(re.findall(r"^    `?([a-z0-9_]+)`? [A-Z]", sql, re.MULTILINE)) - {"INDEX"} == names | ours


def test_what_is_too_old_to_be_taken_is_what_the_tables_no_longer_keep() -> None:
    for sql in SQL.values():
        assert re.findall(r"TTL toDateTime\(time\) \+ INTERVAL (\d+) DAY", sql) == [str(RAW_TELEMETRY_DAYS)]


def test_everything_that_the_agent_can_say_is_taken() -> None:
    shared = {"time": NOW_MS, "node": "n"}
    samples: list[GpuSample | EngineSample] = [GpuSample(**shared, gpu="g", source=source) for source in GPU_SOURCES]
    samples += [
        EngineSample(**shared, engine="e", engine_kind=kind, up=up) for kind in ENGINE_KINDS for up in (True, False)
    ]
    samples.append(GpuSample(**shared, gpu="g", source="dcgm", **READINGS | {"throttle": THROTTLE_REASONS}))
    samples.append(EngineSample(**shared, engine="e", engine_kind="vllm", **COUNTERS | {"gpus": ("a", "b")}))
    assert refusals(*(wire(sample) for sample in samples)) == []


@pytest.mark.parametrize("name", GPU_LIMITS)
def test_what_the_agent_takes_for_a_measurement_is_taken_here(name: str) -> None:
    """It leaves out a number beyond its limits; here the whole sample would be refused."""
    limits = GPU_LIMITS[name]
    assert refusals(*(gpu(**{name: fitting(value, limits)}) for value in (limits.least, limits.most))) == []


@pytest.mark.parametrize("name", ["time", "node", "gpu", "source", "kind"])
def test_a_gpus_sample_without_a_field_that_it_must_have_is_refused(name: str) -> None:
    assert refused(gpu(**{name: None})) == (name, "missing_field")
    assert refused(gpu() | {name: None}) == (name, "missing_field")


@pytest.mark.parametrize("name", ["time", "node", "engine", "engine_kind"])
def test_an_engines_sample_without_a_field_that_it_must_have_is_refused(name: str) -> None:
    assert refused(engine(**{name: None})) == (name, "missing_field")
    assert refused(engine() | {name: None}) == (name, "missing_field")


@pytest.mark.parametrize("name", [*READINGS, *COUNTERS, "mig", "simulated", "up"])
def test_a_field_that_is_null_is_one_that_is_not_there(name: str) -> None:
    sample = gpu() if name in KINDS[GPU].fields else engine()
    batch = check(read_lines(lines(sample, sample | {name: None}), MOST), CONTEXT)
    assert batch.rejects == []
    (table,) = (table for table in batch.tables().values() if table is not None)
    first, second = table.to_pylist()
    assert first == second


@pytest.mark.parametrize("name", ["engine", "typo", "", "throttle_known", "ingested_at", "row", "x" * 300])
def test_a_field_that_a_gpu_does_not_have_is_refused_by_name(name: str) -> None:
    assert refused(gpu(**{name: 1})) == (name[:128], "unknown_field")


@pytest.mark.parametrize("kind", ["lamp", "GPU", "", 5, ["gpu"], True])
def test_an_unknown_kind_is_refused(kind: Any) -> None:
    assert refused(gpu(kind=kind)) == ("kind", "out_of_range")


@pytest.mark.parametrize(
    ("sample", "field"),
    [
        (gpu(source="carrier-pigeon"), "source"),
        (engine(engine_kind="abacus"), "engine_kind"),
        (gpu(throttle=["sw_power_cap", "idle"]), "throttle"),
        (gpu(throttle=[""]), "throttle"),
    ],
)
def test_an_unknown_word_is_refused(sample: dict[str, Any], field: str) -> None:
    assert refused(sample) == (field, "out_of_range")


@pytest.mark.parametrize("name", ["power_w", "sm_active", "energy_j", "temperature_c", "memory_used_bytes", "index"])
@pytest.mark.parametrize("value", ["5", True, [], {}, "NaN"])
def test_no_reading_is_made_of_what_is_no_number(name: str, value: Any) -> None:
    assert refused(gpu(**{name: value})) == (name, "wrong_type")


@pytest.mark.parametrize("name", ["memory_used_bytes", "sm_clock_mhz", "xid_last", "index"])
def test_a_whole_number_has_no_fraction(name: str) -> None:
    assert refused(gpu(**{name: 5.0})) == (name, "wrong_type")


@pytest.mark.parametrize("name", ["up", "simulated"])
@pytest.mark.parametrize("value", [1, "true", 0.0])
def test_no_flag_is_made_of_what_is_none(name: str, value: Any) -> None:
    assert refused(engine(**{name: value})) == (name, "wrong_type")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_what_is_no_finite_number_is_no_json(text: str) -> None:
    body = lines(gpu(power_w=12345)).replace(b"12345", text.encode())
    (reject,) = check(read_lines(body, MOST), CONTEXT).rejects
    assert reject.reason.value == "malformed"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["power_w", "sm_active", "energy_j", "temperature_c"])
def test_what_is_no_finite_number_in_arrow_is_refused_alone(name: str, value: float) -> None:
    body = arrow(gpu(**{name: 0.5}), gpu(**{name: value}))
    batch = check(read_arrow(body, MOST), CONTEXT)
    assert [(each.index, each.field, each.reason.value) for each in batch.rejects] == [(1, name, "out_of_range")]
    assert batch.accepted == 1


@pytest.mark.parametrize("name", [name for name, value in READINGS.items() if not isinstance(value, str | list)])
def test_a_gpus_readings_are_not_negative(name: str) -> None:
    value = -51.0 if name.endswith("temperature_c") else -0.001 if isinstance(READINGS[name], float) else -1
    assert refused(gpu(**{name: value})) == (name, "out_of_range")


@pytest.mark.parametrize("name", [name for name, value in COUNTERS.items() if not isinstance(value, str | list)])
def test_an_engines_counts_are_not_negative(name: str) -> None:
    assert refused(engine(**{name: -1})) == (name, "out_of_range")


@pytest.mark.parametrize("name", [*SHARES, "kv_cache_usage"])
def test_a_share_may_end_a_rounding_above_one_and_is_kept_as_it_is(name: str) -> None:
    make = engine if name == "kv_cache_usage" else gpu
    batch = check(read_lines(lines(make(**{name: 1.0005}), make(**{name: 1}), make(**{name: 1.0011})), MOST), CONTEXT)
    assert [(each.index, each.field, each.reason.value) for each in batch.rejects] == [(2, name, "out_of_range")]
    (table,) = (table for table in batch.tables().values() if table is not None)
    assert table[name].to_pylist() == [pa.scalar(1.0005, pa.float32()).as_py(), 1.0]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("power_w", 10_000, 10_000.1),
        ("power_limit_w", 10_000, 10_000.1),
        ("temperature_c", 200, 200.5),
        ("temperature_c", -50, -50.5),
        ("memory_temperature_c", 200, 201),
        ("energy_j", 1e13, 1.1e13),
        ("sm_clock_mhz", 100_000, 100_001),
        ("memory_total_bytes", 2**46, 2**46 + 1),
        ("index", 65_535, 65_536),
        ("xid_last", 65_535, 65_536),
    ],
)
def test_a_reading_that_no_gpu_can_have_is_refused(name: str, good: float, bad: float) -> None:
    assert refusals(gpu(**{name: good})) == []
    assert refused(gpu(**{name: bad})) == (name, "out_of_range")


@pytest.mark.parametrize("name", COUNTS)
def test_counters_reach_up_to_where_no_value_begins(name: str) -> None:
    includes = {"cached_prompt_tokens": "prompt_tokens", "prefix_cache_hits": "prefix_cache_queries"}
    whole = {includes[name]: 2**62 + 1} if name in includes else {}
    assert refusals(engine(**{name: 2**62} | whole)) == []
    assert (
        refusals(engine(**{name: 0x7FFFFFFFFFFFFFEF} | ({includes[name]: 0x7FFFFFFFFFFFFFEF} if whole else {}))) == []
    )
    for blank in [*INT64_BLANKS, 2**63, 2**64 - 1]:
        assert refused(engine(**{name: blank} | whole)) == (name, "out_of_range")


@pytest.mark.parametrize("blank", [*INT32_BLANKS, *INT64_BLANKS, 140737488355328, 140737488355331])
@pytest.mark.parametrize("name", [name for name, value in READINGS.items() if not isinstance(value, str | list)])
def test_a_number_that_stands_for_no_value_is_no_reading(name: str, blank: int) -> None:
    for value in {blank, float(blank)} if isinstance(READINGS[name], float) else {blank}:
        ((reject),) = check(read_lines(lines(gpu(**{name: value})), MOST), CONTEXT).rejects
        assert (reject.field, reject.reason.value) == (name, "out_of_range")
        assert "stands for 'no value'" in reject.message


@pytest.mark.parametrize("name", ["node", "gpu", "mig", "name", "region", "cluster"])
def test_names_have_the_lengths_of_an_events(name: str) -> None:
    assert refusals(gpu(**{name: "é" * 128})) == []
    assert refused(gpu(**{name: "x" * 129})) == (name, "too_long")
    assert refused(gpu(**{name: 5})) == (name, "wrong_type")
    if name in {"node", "gpu"}:
        assert refused(gpu(**{name: ""})) == (name, "out_of_range")


def test_an_engine_runs_on_at_most_32_gpus_each_named_once() -> None:
    assert refusals(engine(gpus=[f"g{number}" for number in range(32)])) == []
    assert refused(engine(gpus=[f"g{number}" for number in range(33)])) == ("gpus", "too_long")
    assert refused(engine(gpus=["a", "b", "a"])) == ("gpus", "invariant")
    assert refused(engine(gpus=["a", ""])) == ("gpus", "out_of_range")
    assert refused(engine(gpus=["a", None])) == ("gpus", "wrong_type")
    assert refused(engine(gpus="a")) == ("gpus", "wrong_type")


@pytest.mark.parametrize("name", ["power_w", "power_limit_w", "energy_j"])
def test_a_mig_instance_has_no_power_of_its_own(name: str) -> None:
    assert refused(gpu(mig="1/0", **{name: 0})) == (name, "invariant")
    assert refusals(gpu(mig="1/0", sm_active=0.5), gpu(mig="", **{name: 0})) == []


@pytest.mark.parametrize(
    ("part", "whole", "make"),
    [
        ("cached_prompt_tokens", "prompt_tokens", engine),
        ("prefix_cache_hits", "prefix_cache_queries", engine),
        ("memory_used_bytes", "memory_total_bytes", gpu),
    ],
)
def test_a_part_is_not_more_than_what_includes_it(part: str, whole: str, make: Any) -> None:
    assert refused(make(**{part: 11, whole: 10})) == (part, "invariant")
    assert refusals(make(**{part: 10, whole: 10}), make(**{part: 11}), make(**{whole: 10})) == []


@pytest.mark.parametrize("name", [name for name in COUNTERS if name not in {"model", "region", "cluster", "gpus"}])
def test_an_engine_that_does_not_answer_has_told_nothing(name: str) -> None:
    assert refused(engine(up=False, **{name: 0})) == (name, "invariant")
    assert refusals(engine(up=False, model="m", gpus=["a"])) == []


def test_a_lying_clock_is_refused_on_either_side() -> None:
    oldest = NOW_MS + 3_600_000 - RAW_TELEMETRY_DAYS * DAY_MS
    assert refusals(gpu(time=oldest), gpu(time=NOW_MS + AHEAD_MS)) == []
    assert refused(gpu(time=oldest - 1)) == ("time", "too_old")
    assert refused(gpu(time=NOW_MS + AHEAD_MS + 1)) == ("time", "in_future")
    assert refused(gpu(time=NOW_MS // 1000)) == ("time", "too_old")  # seconds
    assert refused(gpu(time=NOW_MS * 1000)) == ("time", "in_future")  # microseconds
    assert refused(gpu(time=0)) == ("time", "too_old")
    assert refused(gpu(time=2**63)) == ("time", "in_future")
    assert refused(gpu(time="2019-01-01T00:00:00Z")) == ("time", "too_old")
    assert refused(gpu(time="2100-01-01T00:00:00Z")) == ("time", "in_future")


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (float(NOW_MS), "wrong_type"),
        (True, "wrong_type"),
        ("", "malformed"),
        ("now", "malformed"),
        (str(NOW_MS), "malformed"),
    ],
    # Not the moment: processes that share a run must name tests alike.
    ids=["float", "bool", "empty", "word", "digits"],
)
def test_what_is_no_time_is_refused(time: Any, reason: str) -> None:
    assert refused(gpu(time=time)) == ("time", reason)


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"5", b"null", b'{"kind": "gpu"', b"\xff\xfe", b'{"kind":"gpu","node":"\xff"}']
)
def test_a_broken_line_is_refused_alone_with_its_bytes(line: bytes) -> None:
    batch = check(read_lines(b"\n".join((lines(gpu()), line, b"", lines(engine()))), MOST), CONTEXT)
    assert batch.accepted == 2
    ((reject),) = batch.rejects
    assert (reject.index, reject.raw, reject.reason.value in {"malformed", "wrong_type"}) == (1, line, True)


def test_the_bytes_of_a_refused_row_of_arrow_are_its_json() -> None:
    body = arrow(gpu(power_w=1.5), gpu(power_w=-1.0, throttle=["hw_thermal"]), gpu(mig="1", power_w=2.5))
    first, second = check(read_arrow(body, MOST), CONTEXT).rejects
    assert json.loads(first.raw) == gpu(power_w=-1.0, throttle=["hw_thermal"])
    assert json.loads(second.raw) == gpu(mig="1", power_w=2.5)


# Both roads.

odd_text = st.sampled_from(["", "x", "x" * 128, "x" * 129, "ä" * 128, "\x00", "nvml", "vllm", "sw_power_cap", "gpu"])
odd_number = st.sampled_from(
    [
        0,
        1,
        -1,
        5.0,
        0.5,
        1.0005,
        1e300,
        5e-324,
        -0.0,
        True,
        10_001,
        2**40,
        2**63,
        2**64,
        2**70,
        *INT32_BLANKS,
        *INT64_BLANKS,
    ]
)
odd_time = st.sampled_from(
    [NOW_MS, NOW_MS + 10**9, 0, -1, 2**62, 2**63, 2**70, "2026-01-15T11:00:00Z", "2026-02-30T11:00:00Z", "x", 1.5]
    + [(NOW - timedelta(hours=hours)).isoformat() for hours in (1, 20)]
)
anything = st.none() | odd_text | odd_number | odd_time | st.lists(odd_text, max_size=2) | st.just({"a": 1})


@st.composite
def samples(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly good, with some fields odd, missing, or unknown."""
    made = draw(st.sampled_from([gpu(**READINGS), engine(**COUNTERS), gpu(), engine(), engine(up=False)]))
    names = sorted({*KINDS[GPU].fields, *KINDS[ENGINE].fields, "kind", "typo"})
    for name in draw(st.lists(st.sampled_from(names), max_size=3)):
        made = made | {name: draw(anything)}
    for name in draw(st.lists(st.sampled_from(sorted(made)), max_size=1)):
        del made[name]
    return made


def outcome(batch: SampleBatch) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    tables = {kind: table.to_pylist() if table is not None else [] for kind, table in batch.tables().items()}
    return tables, [(each.index, each.field, each.reason, each.message, each.raw) for each in batch.rejects]


def assert_same(body: bytes) -> None:
    at_once = outcome(check(read_lines(body, MOST), CONTEXT))
    assert at_once == outcome(check_each(ndjson.decode(body, MOST), CONTEXT))


@settings(deadline=None, max_examples=600)
@given(st.lists(samples(), min_size=1, max_size=5))
@example([gpu(time=2**70), gpu(time=-(2**70))])
@example([gpu(energy_j=2147483632, mig="1"), gpu(time=1, energy_j=2147483632)])
def test_reading_at_once_and_field_by_field_give_the_same(given_samples: list[dict[str, Any]]) -> None:
    assert_same(lines(*given_samples))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40), st.integers(0, 300))
def test_bytes_put_anywhere_give_the_same_on_both_roads(noise: bytes, at: int) -> None:
    body = lines(gpu(**READINGS), engine(**COUNTERS))
    assert_same(body[:at] + noise + body[at:])


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "power_w": st.none() | st.sampled_from([0.0, -1.0, math.nan, math.inf, 12.5, 2147483632.0]),
                "xid_errors": st.none() | st.sampled_from([0, -1, 5, 2**31 - 16]),
                "mig": st.none() | odd_text,
                "throttle": st.none() | st.lists(odd_text | st.none(), max_size=2),
                "time": st.none() | st.sampled_from([NOW_MS, 0, 2**60]),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_an_arrow_stream_and_the_same_as_json_give_the_same(rows: list[dict[str, Any]]) -> None:
    given_samples = [gpu() | row for row in rows]
    types = {"power_w": pa.float64(), "xid_errors": pa.int64(), "mig": pa.string(), "throttle": pa.list_(pa.string())}
    body = arrow(*given_samples, types=types | {"time": pa.int64()})
    tables, rejects = outcome(check(read_arrow(body, MOST), CONTEXT))
    bare = [{name: value for name, value in sample.items() if value is not None} for sample in given_samples]
    odd = {index for index, sample in enumerate(bare) if not math.isfinite(sample.get("power_w", 0.0))}
    expected = [{**sample, "power_w": -1.0} if index in odd else sample for index, sample in enumerate(bare)]
    others, refused_ones = outcome(check(read_lines(lines(*expected), MOST), CONTEXT))
    assert tables == others
    assert [each[:3] for each in rejects] == [each[:3] for each in refused_ones]
