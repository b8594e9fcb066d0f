"""`manage.py quarantine`, as an operator types it."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.accounts import create_tenant
from metering.ingest import local
from tests.metering.ingest.edge import event
from tests.metering.quarantined import found, put, stored

pytestmark = [pytest.mark.usefixtures("ledger", "spool"), pytest.mark.django_db]


def run(*words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("quarantine", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def used(spool: Path) -> None:
    local.spool().settled_before()


def test_a_line_of_the_list_names_its_entry(tenant_key: str) -> None:
    put(tenant_key, {}, {"message": "over\ntwo lines"})
    out, err = run("list", "--tenant", tenant_key, "--limit", "1")
    assert out.count("\n") == 1
    assert "over two lines" in out
    assert "the newest 1 of 2" in err
    name = out.split("\t")[1]
    shown, _ = run("show", name)
    assert '"id": "e1"' in shown


def test_an_entry_is_replayed_with_the_bytes_of_a_file(tenant_key: str, tmp_path: Path) -> None:
    create_tenant(tenant_key)
    (name,) = put(tenant_key, {})
    text = "/".join(map(str, name))
    with pytest.raises(CommandError, match="model is required"):
        run("replay", text)
    fixed = tmp_path / "fixed.json"
    fixed.write_text(json.dumps(event("fixed")))
    out, _ = run("replay", text, "--file", str(fixed))
    assert "replayed as batch" in out
    assert stored(tenant_key) == [("fixed",)]
    with pytest.raises(CommandError, match="replayed by"):
        run("discard", text)


def test_all_that_match_are_replayed_and_the_count_is_printed_alone(tenant_key: str) -> None:
    create_tenant(tenant_key)
    put(tenant_key, *({"raw": json.dumps(event(f"e{n}")).encode()} for n in range(3)), {})
    out, err = run("replay", "--all", "--tenant", tenant_key)
    assert out == "3\n"
    assert "1 still refused, and open: missing_field" in err
    assert run("discard", "--all", "--tenant", tenant_key, "--note", "junk")[0] == "1\n"


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("discard", "--all"),
        ("replay", "--all", "--state", "open"),
        ("show", "nonsense"),
        ("show", "00000000-0000-0000-0000-000000000000/1/too_old"),
        ("list", "--state", "gone"),
        ("replay", "x/1/y", "--all", "--tenant", "t"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*words)


def test_a_machine_that_ingests_nothing_does_not_replay(tenant_key: str, settings: object, tmp_path: Path) -> None:
    settings.SPOOL_DIR = tmp_path  # type: ignore[attr-defined]
    (name,) = put(tenant_key, {})
    with pytest.raises(CommandError, match="never used"):
        run("replay", "/".join(map(str, name)))
    assert found(name).state == "open"
