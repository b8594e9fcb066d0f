"""Announcing a batch is best effort: it is rare, and its failure is nobody's concern but the sweeper's."""

import uuid
from pathlib import Path

import pytest
from celery import current_app
from pytest_django.fixtures import Settings

from metering.ingest import announce


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(announce, "KEY", f"test:{uuid.uuid4()}")
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: found.append(name))
    return found


def test_many_batches_at_once_are_announced_once(sent: list[str]) -> None:
    for _ in range(20):
        announce.ready()
    assert sent == ["metering.drain"]


def test_a_batch_is_accepted_while_redis_is_away(
    sent: list[str], settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    announce.ready()
    assert sent == []
    assert "the sweeper will find the batch" in caplog.text
