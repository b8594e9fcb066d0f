"""`POST /api/v1/telemetry`: samples arrive as they were read, by either format, from operators' keys only."""

import gzip
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.test import Client, override_settings
from pytest_django.fixtures import Settings

from metering import accounts, keys
from metering.ingest import counters, local, telemetry_limits
from metering.ingest.spool import Spool, SpoolFull
from metering.models import ApiKey
from metering.redis_link import link
from tallywatt.answers import Answer, Verdict, judge, receipt
from tests.metering.ingest.samples import ARROW, COUNTERS, NDJSON, NOW_MS, PATH, READINGS, Node, arrow, lines, stream

BOTH = pytest.mark.parametrize("content_type", [NDJSON, ARROW])


@pytest.fixture
def node(db: None, clickhouse: None, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(telemetry_limits._Pause, "until", 0.0)
    return Node.new()


def send(node: Node, content_type: str, *samples: dict[str, Any]) -> Any:
    return node.post(arrow(*samples) if content_type == ARROW else list(samples), content_type)


def as_stored(fields: dict[str, Any]) -> dict[str, Any]:
    """Shares and the like are 32 bits wide in the table."""
    wide = ("_j", "_s")
    return {
        name: pa.scalar(value, pa.float32()).as_py() if isinstance(value, float) and not name.endswith(wide) else value
        for name, value in fields.items()
    }


@BOTH
@pytest.mark.parametrize("by_reference", [True, False], ids=["by reference", "by value"])
def test_a_gpus_sample_arrives_as_it_was_read(
    node: Node, content_type: str, by_reference: bool, settings: Settings
) -> None:
    if by_reference and not settings.CLICKHOUSE_READS_SPOOL:
        pytest.skip("this ClickHouse does not read the spool")
    settings.CLICKHOUSE_READS_SPOOL = by_reference
    whole = node.gpu(**READINGS)
    answer = send(node, content_type, whole, node.gpu(gpu="GPU-1", mig="1/0", simulated=True))
    assert (answer.status_code, answer.json()["accepted"], answer.json()["rejected"]) == (202, 2, [])
    names = [*READINGS, "time", "gpu", "mig", "source", "simulated", "throttle_known", "toString(batch)", "api_key"]
    quoted = ", ".join(name if "(" in name else f"`{name}`" for name in names)
    first, second = node.stored("gpu_samples", quoted, "gpu")
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    ours = {"toString(batch)": answer.json()["batch"], "api_key": node.prefix}
    labels = {"gpu": "GPU-0", "mig": "", "source": "nvml", "simulated": False, "throttle_known": True}
    assert dict(zip(names, first, strict=True)) == as_stored(READINGS) | labels | ours | {"time": at}
    bare = dict.fromkeys(READINGS) | {"name": "", "region": "", "cluster": "", "throttle": []}
    other = {"gpu": "GPU-1", "mig": "1/0", "source": "nvml", "simulated": True, "throttle_known": False}
    assert dict(zip(names, second, strict=True)) == bare | other | ours | {"time": at}


@BOTH
@pytest.mark.parametrize("by_reference", [True, False], ids=["by reference", "by value"])
def test_an_engines_sample_arrives_as_it_was_read(
    node: Node, content_type: str, by_reference: bool, settings: Settings
) -> None:
    if by_reference and not settings.CLICKHOUSE_READS_SPOOL:
        pytest.skip("this ClickHouse does not read the spool")
    settings.CLICKHOUSE_READS_SPOOL = by_reference
    away = node.engine(engine="vllm-1", engine_kind="sglang", up=False, gpus=["GPU-7"])
    assert send(node, content_type, node.engine(**COUNTERS), away).json()["accepted"] == 2
    names = [*COUNTERS, "engine", "engine_kind", "up", "simulated", "api_key"]
    first, second = node.stored("engine_samples", ", ".join(names), "engine")
    shared = {"simulated": False, "api_key": node.prefix}
    own = {"engine": "vllm-0", "engine_kind": "vllm", "up": True}
    assert dict(zip(names, first, strict=True)) == as_stored(COUNTERS) | own | shared
    bare = dict.fromkeys(COUNTERS) | {"model": "", "region": "", "cluster": "", "gpus": ["GPU-7"]}
    other = {"engine": "vllm-1", "engine_kind": "sglang", "up": False}
    assert dict(zip(names, second, strict=True)) == bare | other | shared


def test_both_kinds_come_in_one_request_and_a_bad_one_takes_nobody_along(node: Node) -> None:
    answer = node.post([node.gpu(power_w=-1.0), node.gpu(), node.engine(), node.engine(time=1)]).json()
    assert answer["accepted"] == 2
    assert answer["rejected"] == [
        {
            "index": 0,
            "field": "power_w",
            "reason": "out_of_range",
            "message": "power_w is -1.0, expected 0 to 10000 W",
        },
        {
            "index": 3,
            "field": "time",
            "reason": "too_old",
            "message": "time is older than 14 days, which is how long samples are kept",
        },
    ]
    assert node.stored("gpu_samples", "gpu, power_w") == [("GPU-0", None)]
    assert node.stored("engine_samples", "engine") == [("vllm-0",)]
    assert node.quarantined("row, reason, field, decoder, tenant") == [
        (0, "out_of_range", "power_w", "telemetry", ""),
        (3, "too_old", "time", "telemetry", ""),
    ]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@BOTH
def test_a_body_may_be_compressed(node: Node, content_type: str, encoding: str) -> None:
    plain = arrow(node.gpu()) if content_type == ARROW else lines(node.gpu())
    body = gzip.compress(plain) if encoding == "gzip" else pa.compress(plain, "zstd", asbytes=True)
    answer = node.post(body, content_type, **{"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def test_a_tenants_key_is_403_whatever_its_scopes_and_nothing_is_kept(node: Node, tenant_key: str) -> None:
    accounts.create_tenant(tenant_key)
    every = ["ingest", "usage:read", "quarantine"]
    for key in (keys.issue_key(tenant_key, every), keys.issue_key(tenant_key, ["ingest"], observing=True)):
        answer = node.post([node.gpu()], key=key)
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
        assert "operator's key only" in answer.json()["detail"]
    assert node.stored("gpu_samples", "gpu") == []
    assert local.spool().pending() == []


def test_no_key_a_wrong_one_and_a_revoked_one_are_401_and_a_missing_scope_is_403(node: Node) -> None:
    revoked = keys.issue_key(None, ["ingest"])
    keys.revoke_key(revoked)
    for token in ("", "nonsense", revoked, node.key.rsplit("_", 1)[0] + "_" + "0" * 43):
        answer = node.post([node.gpu()], key=token)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
    other = keys.issue_key(None, ["usage:read", "finance:read", "quarantine", "meters:write", "metrics:read"])
    assert node.post([node.gpu()], key=other).status_code == 403
    assert local.spool().pending() == []


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_only_post_is_taken(node: Node, method: str) -> None:
    answer = getattr(Client(), method)(PATH, headers={"Authorization": f"Bearer {node.key}"})
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-protobuf", ""])
def test_another_content_type_is_415_and_names_those_that_are_taken(node: Node, content_type: str) -> None:
    answer = node.post([node.gpu()], content_type)
    assert answer.status_code == 415
    assert NDJSON in answer.json()["detail"]


def test_too_many_samples_are_422_and_too_long_a_body_is_413(node: Node) -> None:
    with override_settings(INGEST_MAX_EVENTS=2):
        assert node.post([node.gpu()] * 3).status_code == 422
        assert node.post(arrow(*[node.gpu()] * 3), ARROW).status_code == 422
    with override_settings(INGEST_MAX_BODY_BYTES=1024):
        assert node.post([node.gpu()] * 30).status_code == 413
    with override_settings(INGEST_MAX_INFLATED_BYTES=2000):
        body = arrow(*[node.gpu(name="n" * 100)] * 500, compression="zstd")
        assert node.post(body, ARROW).status_code == 413
    assert local.spool().pending() == []


@pytest.mark.parametrize("body", [b"\n", b"\n\n", b"   "])
def test_a_body_without_samples_is_400(node: Node, body: bytes) -> None:
    answer = node.post(body)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body holds no samples")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": ["gpu", "engine"]}, "the column kind must say gpu or engine"),
        ({"kind": ["lamp", "lamp"]}, "the column kind must say gpu or engine"),
        ({"kind": [None, "gpu"]}, "the column kind must say gpu or engine"),
        ({"kind": None}, "the column kind is required"),
        ({"node": None}, "samples of kind gpu: the column node is required"),
        ({"engine": ["a", "b"]}, "samples of kind gpu: there is no field 'engine'"),
        ({"typo": [1, 2]}, "there is no field 'typo'"),
        ({"throttle_known": [True, True]}, "there is no field 'throttle_known'"),
        ({"ingested_at": [1, 2]}, "there is no field 'ingested_at'"),
        ({"power_w": ["1", "2"]}, "power_w has the type string"),
        ({"xid_last": [1.0, 2.0]}, "xid_last has the type double"),
        ({"simulated": [1, 0]}, "simulated has the type int64"),
        ({"time": pa.array([1, 2], pa.timestamp("ms"))}, "time has the type timestamp[ms]"),
        ({"throttle": ["sw_power_cap", ""]}, "throttle has the type string"),
    ],
)
def test_a_stream_that_cannot_be_samples_is_400_and_kept(node: Node, change: dict[str, Any], said: str) -> None:
    columns: dict[str, Any] = {"kind": ["gpu"] * 2, "time": [NOW_MS] * 2, "node": [node.name] * 2, "gpu": ["a", "b"]}
    columns |= {"source": ["nvml"] * 2} | change
    answer = node.post(stream(pa.table({name: value for name, value in columns.items() if value is not None})), ARROW)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert node.quarantined("reason, decoder") == [("malformed", "telemetry")]


def test_a_stream_may_have_other_types_than_the_table_and_is_checked_as_strictly(node: Node) -> None:
    rows = 3
    table = pa.table(
        {
            "kind": pa.array(["gpu"] * rows).dictionary_encode(),
            "time": pa.array([NOW_MS * 1000 + 7] * rows, pa.timestamp("us", "Europe/Berlin")),
            "node": pa.array([node.name] * rows, pa.large_string()),
            "gpu": pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), ["a", "b"]),
            "source": ["nvml"] * rows,
            "power_w": pa.array([5, 6, 7], pa.int16()),
            "sm_active": [0.5, math.nan, 0.5],
            "throttle": pa.array([[], None, ["hw_thermal"]], pa.large_list(pa.string())),
            "xid_last": pa.array([1, 2, -3], pa.int32()),
            "mig": pa.nulls(rows),
        }
    )
    answer = node.post(stream(table), ARROW).json()
    assert [(each["index"], each["field"], each["reason"]) for each in answer["rejected"]] == [
        (1, "sm_active", "out_of_range"),
        (2, "xid_last", "out_of_range"),
    ]
    assert "is nan" in answer["rejected"][0]["message"]
    columns = "toUnixTimestamp64Milli(time), gpu, power_w, throttle, throttle_known"
    assert node.stored("gpu_samples", columns) == [(NOW_MS, "a", 5.0, [], True)]


def test_the_client_reads_the_receipt(node: Node) -> None:
    """As tallywatt-agent does: what was refused is not sent again."""
    response = node.post([node.gpu(), node.gpu(power_w=-1.0)])
    answer = Answer(response.status_code, response.content, {"content-type": response["Content-Type"]})
    assert judge(answer, 2) is Verdict.TAKEN
    found = receipt(answer, 2)
    assert found is not None
    assert [each[:3] for each in found.rejected] == [(1, "power_w", "out_of_range")]
    response = node.post([node.gpu(power_w=-1.0)] * 1500)  # a thousand are listed: in smaller parts, then
    assert judge(Answer(response.status_code, response.content), 1500) is Verdict.SPLIT


def test_samples_count_against_the_rate_of_their_key(node: Node) -> None:
    ApiKey.objects.filter(prefix=node.prefix).update(ingest_events_per_s=1)
    assert node.post([node.gpu()] * 20).status_code == 202
    answer = node.post([node.gpu()])
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) >= 10


def test_a_full_spool_is_429_and_nothing_is_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SpoolFull("no room")

    monkeypatch.setattr(Spool, "accept_all", full)
    answer = node.post([node.gpu()])
    assert (answer.status_code, answer["Retry-After"]) == (429, "5")


def test_samples_are_counted_as_what_they_are(node: Node) -> None:
    link().delete(counters.TOTAL)
    node.post([node.gpu(), node.engine(), node.gpu(power_w=-1.0)])
    found = counters.snapshot().total
    assert found.accepted["telemetry"] == 2
    assert found.rejected["out_of_range"] == 1


def test_a_sample_sent_twice_is_two_rows_that_readers_take_once(node: Node) -> None:
    for _ in range(2):
        node.post([node.gpu()])
    assert node.stored("gpu_samples", "count(), uniqExact(node, gpu, mig, time)", "1") == [(2, 1)]


def test_times_may_be_text_with_an_offset(node: Node) -> None:
    text = datetime.fromtimestamp(NOW_MS / 1000, UTC).isoformat(timespec="microseconds")
    assert node.refusals(node.gpu(time=text), node.gpu(time=text[:-6])) == [(1, "time", "malformed")]
    assert node.stored("gpu_samples", "toUnixTimestamp64Milli(time)") == [(NOW_MS,)]
