"""The operator's pages of quarantine: what they list, how an entry is fixed, and what a step over many asks first."""

import html
import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from dashboard.operator.quarantine import now
from metering.contracts import TenantInfo
from metering.models import QuarantineDecision
from metering.public import ClickHouseUnavailable, EntryFilter
from metering.quarantine import bulk
from tests.dashboard.conftest import LogIn
from tests.metering.ingest.edge import event
from tests.metering.quarantined import NOON, found, put, stored
from tests.metering.rows import insert_requests

pytestmark = pytest.mark.usefixtures("spool")

LIST = "/operator/quarantine/"
GOOD = json.dumps(event()).encode()


@pytest.fixture
def client(log_in: LogIn) -> Client:
    return log_in("operator")


def page(client: Client, path: str = LIST, **query: str) -> str:
    response = client.get(path, query)
    assert response.status_code == 200, response.content
    return html.unescape(response.content.decode())


def at(name: tuple[str, int, str]) -> str:
    return reverse("operator-quarantine-entry", args=name)


def text_of(shown: str) -> str:
    """What the editor holds, as a browser would read and send it."""
    match = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", shown, re.DOTALL)
    assert match
    return html.unescape(match[1]).replace("\n", "\r\n")


def messages(response: HttpResponse) -> str:
    return " ".join(str(message) for message in response.context["messages"])  # type: ignore[attr-defined]


def test_the_list_says_what_why_whose_and_when(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, {"api_key": "0123456789ab", "message": "model is required <b>here</b>"})
    raw = client.get(LIST, {"tenant": tenant.key}).content.decode()
    assert "model is required &lt;b&gt;here" in raw
    for part in (
        "missing field: model",
        tenant.key,
        "tw_0123456789ab",
        "<span>2026-01-15</span> <span>12:00:00</span>",
        "ndjson",
        "e0",
    ):
        assert part in raw


def test_counts_narrow_the_list_and_widen_it_again(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, {}, {}, {"reason": "too_old", "message": "time is older"})
    shown = page(client, tenant=tenant.key)
    (narrow,) = re.findall(r'href="[^"]*\?([^"]*reason=too_old[^"]*)"', shown)
    narrowed = page(client, **dict(part.split("=") for part in narrow.split("&")))
    assert "time is older" in narrowed
    assert "model is required" not in narrowed
    (widen,) = re.findall(r'href="[^"]*\?([^"]*)" aria-current="true" aria-label="too old', narrowed)
    assert "reason" not in widen


def test_older_entries_are_a_page_away(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, *({} for _ in range(60)))
    first = page(client, tenant=tenant.key)
    (older,) = re.findall(r'href="([^"]*cursor=[^"]*)">Older', first)
    second = page(client, older)
    rows = [re.findall(r'th scope="row"><a href="([^"?]*)', shown) for shown in (first, second)]
    assert [len(one) for one in rows] == [50, 10]
    assert len({*rows[0], *rows[1]}) == 60
    assert "Older entries" not in second


def test_an_empty_list_says_what_that_means(client: Client, tenant: TenantInfo) -> None:
    assert "No open entry matches" in page(client, tenant=tenant.key)
    assert "Nothing matches" in page(client, tenant=tenant.key, state="discarded")


@pytest.mark.parametrize("query", [{"state": "gone"}, {"from": "noon"}, {"cursor": "x"}, {"text": "a\x00"}])
def test_an_address_that_cannot_be_meant_is_400(client: Client, query: dict[str, str]) -> None:
    response = client.get(LIST, query)
    assert response.status_code == 400
    assert next(iter(query)) in response.content.decode()


def test_an_entry_that_there_is_not_is_404(client: Client, clickhouse: None) -> None:
    for name in ((str(uuid.uuid4()), 0, "too_old"), (str(uuid.uuid4()), 2**40, "x" * 300)):
        assert client.get(at(name)).status_code == 404
        assert client.post(at(name), {"action": "discard"}).status_code == 404


def test_an_entry_that_was_fixed_is_replayed_and_says_so(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {})
    fixed = text_of(page(client, at(name))).replace("{", '{"model": "m",', 1)
    response = client.post(at(name), {"action": "replay", "text": fixed}, follow=True)
    assert response.redirect_chain == [(at(name), 302)]
    assert "Replayed" in messages(response)
    assert "with edited bytes" in response.content.decode()
    assert "<textarea" not in response.content.decode()
    assert stored(tenant.key, "id, model, time") == [("e0", "m", NOON)]


def test_an_entry_that_nobody_touched_is_replayed_with_its_own_bytes(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {"raw": GOOD})
    client.post(at(name), {"action": "replay", "text": text_of(page(client, at(name)))})
    decision = found(name).decision
    assert decision is not None
    assert not decision.edited
    assert stored(tenant.key) == [("e1",)]


def test_a_replay_that_is_refused_keeps_what_was_typed_and_names_the_fault(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {})
    typed = json.dumps(event(input_tokens=-7), indent=1)
    response = client.post(at(name), {"action": "replay", "text": typed.replace("\n", "\r\n")})
    assert response.status_code == 422
    shown = html.unescape(response.content.decode())
    assert "input_tokens is -7" in shown
    assert '"input_tokens": -7' in text_of(shown)
    assert found(name).state == "open"
    assert stored(tenant.key) == []


def test_bytes_that_are_no_text_are_dumped_and_may_be_replaced(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {"raw": b"\xff\xfe{}"})
    shown = page(client, at(name))
    assert "ff fe 7b 7d" in shown
    assert text_of(shown) == ""
    assert client.post(at(name), {"action": "replay", "text": ""}).status_code == 422
    assert client.post(at(name), {"action": "replay", "text": GOOD.decode()}).status_code == 302
    assert stored(tenant.key) == [("e1",)]


def test_markup_in_the_bytes_stays_text(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {"raw": b'{"id": "</textarea><script>alert(1)</script>"}'})
    assert "<script>alert" not in client.get(at(name)).content.decode()
    assert "<script>alert" not in client.get(LIST, {"tenant": tenant.key}).content.decode()


def test_a_discard_keeps_its_note_and_who_is_late_is_told(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {"raw": GOOD})
    first = client.post(at(name), {"action": "discard", "note": "load test"}, follow=True)
    assert "load test" in first.content.decode()
    late = client.post(at(name), {"action": "replay"}, follow=True)
    assert "Somebody was faster" in messages(late)
    assert stored(tenant.key) == []
    assert QuarantineDecision.objects.count() == 1


def test_neither_replay_nor_discard_is_400(client: Client, tenant: TenantInfo) -> None:
    (name,) = put(tenant.key, {})
    assert client.post(at(name), {"action": "burn"}).status_code == 400
    assert found(name).state == "open"


def test_the_next_open_entry_is_a_click_away_within_the_same_filters(client: Client, tenant: TenantInfo) -> None:
    names = put(tenant.key, {"reason": "too_old"}, {}, {"reason": "too_old"})
    shown = page(client, at(names[2]), tenant=tenant.key, reason="too_old")
    (following,) = re.findall(r'href="([^"]*)">Next open entry', shown)
    assert following.startswith(at(names[0]))
    assert "reason=too_old" in following
    assert "No older open entry" in page(client, following)


def test_a_conflict_shows_both_events_with_their_differences_marked(client: Client, tenant: TenantInfo) -> None:
    first, other = str(uuid.uuid4()), str(uuid.uuid4())
    insert_requests(
        tenant.key,
        {"id": "e1", "batch": first, "row": 2, "input_tokens": 50},
        {"id": "e1", "batch": other, "row": 5, "input_tokens": 70},
    )
    losing = {"id": "e1", "source": "", "time": "2026-01-15 12:00:00.000", "model": "m", "input_tokens": 70}
    row = {"batch": other, "row": 5, "decoder": "seal", "reason": "conflict", "field": "id"}
    message = f"same identity as row 2 of batch {first}, other content; the first one is billed"
    (name,) = put(tenant.key, row | {"message": message, "raw": json.dumps(losing).encode()})
    shown = page(client, at(name))
    assert re.search(r'<tr class="differs"><th scope="row">input tokens<small>differs</small></th>.*50.*70', shown)
    assert shown.count('class="differs"') == 1
    response = client.post(at(name), {"action": "replay", "text": text_of(shown)})
    assert "billed already" in html.unescape(response.content.decode())


def hidden(shown: str) -> dict[str, str]:
    """The question's form, as a browser would send it."""
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', shown))
    return {name: value for name, value in found.items() if name != "csrfmiddlewaretoken"}


def ask(client: Client, action: str, **query: str) -> dict[str, str]:
    return hidden(page(client, reverse(f"operator-quarantine-{action}"), **query))


def answer(client: Client, action: str, form: dict[str, str], **more: str) -> Any:
    return client.post(reverse(f"operator-quarantine-{action}"), form | more, follow=True)


def test_a_step_over_many_states_the_number_first_and_does_what_it_said(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, {"raw": GOOD}, {"raw": b"{}"}, {"raw": GOOD, "reason": "too_old"})
    shown = page(client, reverse("operator-quarantine-replay"), tenant=tenant.key, reason="missing_field")
    assert "Replay 2 open entries?" in shown
    assert f"customer {tenant.key}" in shown
    response = answer(client, "replay", hidden(shown))
    assert response.redirect_chain[0][0].startswith(LIST)
    assert "1 entry replayed. 1 entry refused again and still open: 1 missing field." in messages(response)
    assert stored(tenant.key) == [("e1",)]


def test_what_changed_since_the_question_is_asked_again(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, {}, {})
    form = ask(client, "discard", tenant=tenant.key)
    put(tenant.key, {})
    response = answer(client, "discard", form)
    assert response.status_code == 409
    shown = html.unescape(response.content.decode())
    assert "The number has changed" in shown
    assert not QuarantineDecision.objects.exists()
    done = answer(client, "discard", hidden(shown), note="all of them")
    assert "3 entries discarded." in messages(done)
    assert set(QuarantineDecision.objects.values_list("note", flat=True)) == {"all of them"}


def test_what_arrives_after_the_question_is_left_alone(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, {})
    form = ask(client, "discard", tenant=tenant.key)
    (late,) = put(tenant.key, {"ingested_at": NOON.replace(year=2100)})
    assert "1 entry discarded." in messages(answer(client, "discard", form))
    assert found(late).state == "open"


def test_more_than_one_step_asks_about_the_rest(
    client: Client, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 2)
    put(tenant.key, {}, {}, *({"raw": json.dumps(event(f"g{n}")).encode()} for n in range(3)))
    response = answer(client, "replay", ask(client, "replay", tenant=tenant.key))
    assert "2 entries refused again" in messages(response)
    for _ in range(2):
        assert "Replay the next ones?" in html.unescape(response.content.decode())
        response = answer(client, "replay", hidden(response.content.decode()))
    assert "1 entry replayed." in messages(response)
    assert stored(tenant.key) == [("g0",), ("g1",), ("g2",)]


def test_a_step_without_matches_has_no_button(client: Client, tenant: TenantInfo) -> None:
    shown = page(client, reverse("operator-quarantine-discard"), tenant=tenant.key)
    assert "Nothing to discard" in shown
    assert "expected" not in shown


def test_a_full_spool_is_told_and_changes_nothing(client: Client, tenant: TenantInfo, settings: Settings) -> None:
    names = put(tenant.key, {"raw": GOOD}, {"raw": json.dumps(event("e2")).encode()})
    client.post(at(names[0]), {"action": "replay"})
    settings.SPOOL_MAX_BYTES = 1
    response = client.post(at(names[1]), {"action": "replay"})
    assert response.status_code == 503
    assert "try again when there is room" in response.content.decode()
    told = answer(client, "replay", ask(client, "replay", tenant=tenant.key))
    assert "It ended early" in messages(told)
    assert found(names[1]).state == "open"


def test_without_clickhouse_the_page_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ClickHouseUnavailable("gone")

    monkeypatch.setattr("metering.clickhouse.client.run", away)
    for path in (LIST, at((str(uuid.uuid4()), 0, "too_old")), reverse("operator-quarantine-replay")):
        response = client.get(path)
        assert response.status_code == 503
        assert "does not answer" in response.content.decode()


def test_a_range_of_arrivals_is_read_as_utc(client: Client, tenant: TenantInfo) -> None:
    put(tenant.key, {"message": "early"}, {"message": "late", "ingested_at": NOON + timedelta(hours=2)})
    shown = page(client, tenant=tenant.key, **{"from": "2026-01-15T13:00"})
    assert "</span> late<" in shown
    assert "</span> early<" not in shown
    assert 'value="2026-01-15T13:00:00Z"' in shown


@pytest.mark.django_db(transaction=True)
def test_the_list_says_how_many_match_by_now(tenant: TenantInfo) -> None:
    put(tenant.key, {}, {"reason": "too_old"})
    asked = EntryFilter.read({"tenant": tenant.key})
    assert re.search(r"Now 2 open, the newest arrived at \d\d:\d\d:\d\d UTC", now(asked).html["quarantine-now"])
    assert now(EntryFilter.read({"tenant": "nobody-else-names-this"})).html["quarantine-now"].strip() == "Now none"


def test_a_search_in_bytes_is_not_repeated_by_itself(tenant: TenantInfo, log_in: LogIn) -> None:
    put(tenant.key, {})
    client = log_in("operator")
    assert b"data-live=" in client.get(reverse("operator-quarantine"), {"tenant": tenant.key}).content
    assert b"data-live=" not in client.get(reverse("operator-quarantine"), {"text": "x", "tenant": tenant.key}).content
    assert client.get(reverse("operator-quarantine-live"), {"state": "lost"}).status_code == 400
