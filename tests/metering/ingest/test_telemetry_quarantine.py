"""Samples in quarantine: an operator sees what they are, fixes them, and they are taken after all, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from metering import accounts, keys
from metering.clickhouse import client
from metering.ingest import local, telemetry_limits
from metering.ingest.drain import drain
from metering.ingest.replaying import BY_NAME
from metering.models import QuarantineDecision
from metering.quarantine.bulk import replay_matching
from metering.quarantine.decisions import replay, replay_all
from metering.quarantine.entries import QuarantineEntry, entries
from metering.quarantine.filters import EntryFilter
from metering.quarantine.preparing import ReplayRefused
from tests.dashboard.conftest import LogIn, log_in  # noqa: F401 - a fixture
from tests.metering.ingest.samples import ARROW, NOW_MS, READINGS, Node, arrow
from tests.metering.quarantined import found

QUARANTINE = "/api/v1/quarantine"


@pytest.fixture
def node(db: None, clickhouse: None, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(telemetry_limits._Pause, "until", 0.0)
    return Node.new()


def kept(node: Node, **asked: Any) -> list[QuarantineEntry]:
    drain(local.spool())
    page = entries(EntryFilter(api_key=node.prefix, **asked)).entries
    return sorted((found((one.batch, one.row, one.reason)) for one in page), key=lambda entry: entry.row)


def only(node: Node, **asked: Any) -> QuarantineEntry:
    (one,) = kept(node, **asked)
    return one


def test_a_refused_sample_says_what_it_is_of(node: Node) -> None:
    node.post(
        [node.gpu(power_w=-1), node.gpu(mig="1/0", power_w=1), node.engine(waiting=-1), node.gpu() | {"node": None}]
    )
    assert [(one.decoder, one.reason, one.field, one.event_id) for one in kept(node)] == [
        ("telemetry", "out_of_range", "power_w", f"{node.name} GPU-0"),
        ("telemetry", "invariant", "power_w", f"{node.name} GPU-0 1/0"),
        ("telemetry", "out_of_range", "waiting", f"{node.name} vllm-0"),
        ("telemetry", "missing_field", "node", "GPU-0"),
    ]
    node.post(b"\xff\xfe")
    assert only(node, reason="malformed").event_id == ""


def test_a_sample_is_fixed_and_taken_as_if_it_came_now(node: Node) -> None:
    node.post([node.gpu(**READINGS | {"power_w": -1.0})])
    entry = only(node)
    with pytest.raises(ReplayRefused) as refused:
        replay(entry, None, "ann")
    assert (refused.value.field, refused.value.reason) == ("power_w", "out_of_range")
    assert not QuarantineDecision.objects.exists()
    fixed = json.loads(entry.raw or b"") | {"power_w": 100.5}
    batch = replay(entry, json.dumps(fixed, indent=2).encode(), "ann")
    assert node.stored("gpu_samples", "power_w, energy_j, api_key, toString(batch), toUnixTimestamp64Milli(time)") == [
        (100.5, READINGS["energy_j"], node.prefix, batch, NOW_MS)
    ]
    assert found((entry.batch, entry.row, entry.reason)).state == "replayed"


def test_a_row_of_arrow_is_fixed_in_the_same_way(node: Node) -> None:
    node.post(arrow(node.engine(waiting=-1.0, gpus=["a"])), ARROW)
    entry = only(node)
    replay(entry, (entry.raw or b"").replace(b"-1.0", b"1.5"), "ann")
    assert node.stored("engine_samples", "waiting, gpus, up") == [(1.5, ["a"], True)]


def test_a_sample_without_a_time_does_not_get_that_of_its_arrival(node: Node) -> None:
    """It may have waited in an outbox for hours: nobody can say from its arrival when it was read."""
    node.post([node.gpu(time=None)])
    entry = only(node)
    with pytest.raises(ReplayRefused) as refused:
        replay(entry, None, "ann")
    assert (refused.value.field, refused.value.reason) == ("time", "missing_field")
    replay(entry, json.dumps(node.gpu()).encode(), "ann")
    assert node.stored("gpu_samples", "toUnixTimestamp64Milli(time)") == [(NOW_MS,)]


@pytest.mark.parametrize("edited", [b"{", b"[]", b"", b"5", b'{"kind": "gpu"}', b'{"id": "e1", "model": "m"}'])
def test_what_is_no_sample_is_refused_again(node: Node, edited: bytes) -> None:
    node.post([node.gpu(power_w=-1)])
    with pytest.raises(ReplayRefused):
        replay(only(node), edited, "ann")
    assert node.stored("gpu_samples", "gpu") == []


def test_samples_and_events_of_one_key_are_replayed_together(node: Node, tenant_key: str) -> None:
    event = {"id": "e1", "tenant": tenant_key, "model": "m", "input_tokens": 3, "output_tokens": 4}
    headers = {"Authorization": f"Bearer {node.key}"}
    sent = Client().post("/api/v1/events", json.dumps(event), content_type="application/x-ndjson", headers=headers)
    assert sent.json()["rejected"][0]["reason"] == "unknown_tenant"
    node.post([node.gpu(time=1), node.engine(kind="lamp")])
    accounts.create_tenant(tenant_key)
    drain(local.spool())
    outcome = replay_all(kept(node), "ann")
    assert len(outcome.done) == 1
    assert sorted(error.reason for error in outcome.refused.values()) == ["out_of_range", "too_old"]
    drain(local.spool())
    sql = "SELECT id FROM requests WHERE tenant = %(tenant)s"
    assert client.statement("test", sql, {"tenant": tenant_key}) == [("e1",)]


def test_what_was_one_too_many_is_taken_once_there_is_room(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.post([node.gpu(gpu=f"GPU-{number}") for number in range(300)])
    drain(local.spool())
    asked = EntryFilter(api_key=node.prefix, reason="too_many_series")
    assert replay_matching(asked, "ann").failures == {"too_many_series": 44}
    real = telemetry_limits.time.time
    monkeypatch.setattr(telemetry_limits.time, "time", lambda: real() + 3600)
    assert replay_matching(asked, "ann").done == 44
    assert node.stored("gpu_samples", "uniqExact(gpu)", "1") == [(300,)]


def test_the_api_lists_shows_and_replays_samples(node: Node, tenant_key: str) -> None:
    node.post([node.gpu(power_w=-1)])
    entry = only(node)
    name = f"{QUARANTINE}/{entry.batch}/{entry.row}/{entry.reason}"
    operator = {"Authorization": f"Bearer {keys.issue_key(None, ['quarantine'])}"}
    listed = Client().get(QUARANTINE, {"decoder": "telemetry", "api_key": node.prefix}, headers=operator).json()
    assert listed["counts"]["by_decoder"] == {"telemetry": 1}
    assert listed["data"][0]["event_id"] == f"{node.name} GPU-0"
    shown = Client().get(name, headers=operator).json()
    assert (shown["rendering"]["kind"], shown["truncated"]) == ("json", False)
    assert '"power_w": -1' in shown["rendering"]["text"]

    def replayed(raw: dict[str, Any], headers: dict[str, str]) -> Any:
        body = {"raw": json.dumps(raw)}
        return Client().post(f"{name}/replay", body, content_type="application/json", headers=headers)

    accounts.create_tenant(tenant_key)
    customer = {"Authorization": f"Bearer {keys.issue_key(tenant_key, ['quarantine'])}"}
    assert Client().get(name, headers=customer).status_code == 404
    assert replayed(node.gpu(), customer).status_code == 403
    answer = replayed(node.gpu(power_w=-2), operator)
    assert (answer.status_code, answer.json()["refused"][0]["field"]) == (422, "power_w")
    assert replayed(node.gpu(power_w=2), operator).status_code == 200
    assert replayed(node.gpu(power_w=2), operator).status_code == 409
    assert node.stored("gpu_samples", "power_w") == [(2.0,)]


@pytest.mark.django_db
def test_the_page_of_an_entry_shows_a_sample_as_one(node: Node, log_in: LogIn) -> None:  # noqa: F811
    node.post([node.gpu(power_w=-1)])
    entry = only(node)
    operator = log_in("operator")
    address = reverse("operator-quarantine-entry", args=[entry.batch, entry.row, entry.reason])
    page = operator.get(address).content.decode()
    assert f"{node.name} GPU-0" in page
    assert "A sample needs the time at which it was read" in page
    listed = operator.get(reverse("operator-quarantine"), {"api_key": node.prefix}).content.decode()
    assert "telemetry" in listed
    assert operator.post(address, {"action": "replay", "text": json.dumps(node.gpu(power_w=3))}).status_code == 302
    assert node.stored("gpu_samples", "power_w") == [(3.0,)]


def test_what_is_kept_of_a_sample_can_be_read_again(node: Node) -> None:
    (one,) = BY_NAME["telemetry"].decode(json.dumps(node.gpu(), indent=1).encode(), 10)
    assert one.event == node.gpu()
