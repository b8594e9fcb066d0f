import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from metering import accounts
from metering.models import ApiKey
from metering.simulator.provider import demo_plan
from tests.metering.agent.running.upstream import KEY, Upstream

pytestmark = pytest.mark.django_db


@pytest.fixture
def upstream(settings: Settings, tmp_path: Path) -> Iterator[Upstream]:
    settings.DATA_DIR = tmp_path
    running = Upstream()
    yield running
    running.close()
    assert running.faults == []


def test_it_sends_a_simulated_stretch_of_time(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("simulate", "--from", "2026-11-24T13:00:00Z", hours=0.1, nodes=1, url=upstream.url, key=KEY, seed=3)

    printed = capsys.readouterr()
    samples = upstream.samples
    assert printed.out.strip() == f"samples={len(samples)} events={printed.out.strip().rpartition('=')[2]}"
    assert {sample["node"] for sample in samples} == {"sim-01"}
    assert len({sample["time"] for sample in samples}) == 37
    assert "2026-11-24 13:06" in printed.err


def test_the_script_is_followed(upstream: Upstream, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"kind": "power_cap", "target": "sim-01", "value": 300, "start_s": 0, "end_s": 600}]))
    call_command("simulate", hours=0.02, nodes=1, url=upstream.url, key=KEY, script=script)

    assert 300 in {sample.get("power_limit_w") for sample in upstream.samples}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "http://127.0.0.1:1"}, "--url needs --key"),
        ({"url": "http://127.0.0.1:1", "key": KEY, "create_tenants": True}, "local stack only"),
        ({"url": "http://127.0.0.1:1", "key": KEY, "interval": 7}, "a part of a minute"),
        ({"url": "http://127.0.0.1:1", "key": KEY, "script": Path("/nowhere.json")}, "nowhere.json"),
        ({"url": "http://127.0.0.1:1", "key": KEY, "servegen": Path("/nowhere_trace.csv")}, "nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("simulate", hours=0.02, **options)


def test_on_the_local_stack_it_makes_a_key_for_itself_and_tenants_only_if_asked(
    upstream: Upstream, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STACK = replace(settings.STACK, web_url=upstream.url)
    made: list[str] = []
    monkeypatch.setattr(
        "metering.management.commands.simulate.keys.issue_key",
        lambda *words, **more: made.append(more["label"]) or KEY,
    )
    monkeypatch.setattr("metering.management.commands.simulate.keys.revoke_key", made.append)
    call_command("simulate", hours=0.02, create_tenants=True)

    assert made == ["simulate", KEY]
    assert ApiKey.objects.count() == 0
    known = {tenant.key: tenant.is_demo for tenant in accounts.tenants()}
    assert {tenant.key for tenant in demo_plan(0).tenants} <= set(known)
    assert set(known.values()) == {True}
