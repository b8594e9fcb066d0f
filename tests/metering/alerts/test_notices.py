"""Delivery, to a server of the test's own on 127.0.0.1 and to Django's outbox: once for each notice, and again until it is taken."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core import mail
from django.db import connections

from metering.alerts import notices
from metering.models import AlertChannel, AlertNotice, AlertRule

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


@dataclass
class Hook:
    """What arrived; `answers` are given one after the other, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.taken.append((dict(self.headers), body))
            status = found.answers.pop(0) if found.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{found.url}elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def notice_to(kind: str, target: str, texts: list[str], **channel: Any) -> AlertNotice:
    rule = AlertRule.objects.create(
        name="slow", measure="ttft_p95_ms", threshold=500.0, advice="Look.", severity="page"
    )
    rule.channels.add(AlertChannel.objects.create(name="c", kind=kind, target=target, **channel))
    notices.write(rule, texts, [], NOW)
    return AlertNotice.objects.get()


def test_a_webhook_gets_it_once_signed_with_its_secret(hook: Hook) -> None:
    notice = notice_to("webhook", hook.url, ["m: 900 ms"], secret="s3")
    assert notices.deliver_due(NOW) == 1
    assert notices.deliver_due(NOW + timedelta(days=1)) == 0
    ((headers, body),) = hook.taken
    assert headers["Tallywatt-Signature"] == "sha256=" + hmac.new(b"s3", body, hashlib.sha256).hexdigest()
    said = json.loads(body)
    assert (said["id"], said["rule"], said["firing"], said["severity"]) == (notice.pk, "slow", ["m: 900 ms"], "page")
    notice.refresh_from_db()
    assert (notice.delivered_at, notice.due_at, notice.attempts) == (NOW, None, 1)


def test_slack_gets_text_in_which_no_name_is_a_mention(hook: Hook) -> None:
    notice_to("slack", hook.url, ["<!channel> & more: 900 ms"])
    notices.deliver_due(NOW)
    said = json.loads(hook.taken[0][1])
    assert said["text"] == "[page] slow: 1 firing"
    (attachment,) = said["attachments"]
    assert "- &lt;!channel&gt; &amp; more: 900 ms" in attachment["text"]
    assert attachment["title_link"].startswith("http")
    assert "<" not in json.dumps(said)


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_is_not_taken_is_tried_again_later_and_later(hook: Hook, status: int) -> None:
    hook.answers = [status, status]
    notice = notice_to("webhook", hook.url, ["m"])
    assert notices.deliver_due(NOW) == 0
    notice.refresh_from_db()
    assert str(status) in notice.failure
    assert notice.due_at == NOW + timedelta(seconds=30)
    assert notices.deliver_due(NOW + timedelta(seconds=29)) == 0
    assert len(hook.taken) == 1
    assert notices.deliver_due(NOW + timedelta(seconds=30)) == 0
    notice.refresh_from_db()
    assert notice.due_at == NOW + timedelta(seconds=90)
    assert notices.deliver_due(NOW + timedelta(seconds=90)) == 1
    assert len(hook.taken) == 3  # a redirect is not followed


def test_it_is_given_up_after_a_third_of_a_day(hook: Hook) -> None:
    notice = notice_to("webhook", "http://127.0.0.1:1/", ["m"])
    now = NOW
    while True:
        notices.deliver_due(now)
        notice.refresh_from_db()
        if notice.due_at is None:
            break
        now = notice.due_at
    assert notice.attempts == notices.MOST_ATTEMPTS
    assert timedelta(hours=6) < now - NOW < timedelta(hours=12)
    assert notice.delivered_at is None
    assert notice.failure


def test_mail_goes_to_every_address(settings: Any) -> None:
    settings.EMAIL_FROM = "tallywatt@example.org"
    notice_to("email", "a@example.org, b@example.org", [f"m{n}: 900 ms" for n in range(30)])
    assert notices.deliver_due(NOW) == 1
    (sent,) = mail.outbox
    assert sent.to == ["a@example.org", "b@example.org"]
    assert sent.subject == "[page] slow: 30 firing"
    assert "- m0: 900 ms" in sent.body
    assert "and 10 more" in sent.body
    assert f"{settings.PUBLIC_URL}/operator/alerts/rules/" in sent.body


def test_without_a_sender_mail_is_not_sent_and_says_why(settings: Any) -> None:
    settings.EMAIL_FROM = ""
    notice = notice_to("email", "a@example.org", ["m"])
    assert notices.deliver_due(NOW) == 0
    notice.refresh_from_db()
    assert "TALLYWATT_EMAIL_FROM" in notice.failure


def test_a_test_of_a_channel_really_sends_and_is_not_repeated(hook: Hook) -> None:
    channel = AlertChannel.objects.create(name="c", kind="webhook", target=hook.url)
    hook.answers = [500]
    notice = notices.write_test(channel, "ada")
    assert not notices.deliver(notice, NOW)
    assert notice.due_at is None
    assert "500" in notice.failure
    assert notices.deliver(notices.write_test(channel, "ada"), NOW)


def test_two_workers_send_a_notice_once(hook: Hook) -> None:
    notice_to("webhook", hook.url, ["m"])
    found: list[int] = []

    def work() -> None:
        found.append(notices.deliver_due(NOW))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == len(hook.taken) == 1
