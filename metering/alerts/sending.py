"""One attempt to send a notice: as mail, to Slack and what speaks like it, or as JSON.

Operators say where webhooks go, and are trusted with it: an address inside of the provider's network is a fair one. Nobody else can make a
channel. No redirect is followed and no answer is shown, so a channel cannot be used to read what lies behind an address.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from django.conf import settings
from django.core.mail import send_mail

from metering.models import AlertChannel, AlertNotice

TIMEOUT_S = 10.0
LINES = 20  # of one message; the page has the rest
COLOURS = {"page": "#c0322a", "ticket": "#e69f00"}
OVER = "#1b6e3c"


def send(notice: AlertNotice) -> None:
    """Raises whatever stands in the way."""
    channel = notice.channel
    if channel.kind == AlertChannel.Kind.EMAIL:
        _mail(notice)
        return
    body = orjson.dumps(_slack(notice) if channel.kind == AlertChannel.Kind.SLACK else _plain_json(notice))
    headers = {"Content-Type": "application/json", "User-Agent": "Tallywatt", "Tallywatt-Notice": str(notice.pk)}
    if channel.secret:
        headers["Tallywatt-Signature"] = signature(channel.secret, body)
    answer = httpx.post(channel.target, content=body, headers=headers, timeout=TIMEOUT_S, follow_redirects=False)
    if not answer.is_success:
        raise RuntimeError(f"{urlsplit(channel.target).hostname} answered {answer.status_code}")


def signature(secret: str, body: bytes) -> str:
    """`sha256=` and the HMAC of the body, in hex."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _mail(notice: AlertNotice) -> None:
    to = [address.strip() for address in notice.channel.target.split(",") if address.strip()]
    if not settings.EMAIL_FROM:
        raise RuntimeError("no sender is set: TALLYWATT_EMAIL_FROM")
    send_mail(notice.subject, plain(notice), settings.EMAIL_FROM, to, fail_silently=False)


def plain(notice: AlertNotice) -> str:
    body: Mapping[str, Any] = notice.body
    lines = [f"{body['rule']}: {body['condition']}", ""]
    for title, key in (("Firing", "firing"), ("Over", "over")):
        if body[key]:
            lines += [f"{title}:", *_listed(body[key]), ""]
    if body["advice"]:
        lines += [str(body["advice"]), ""]
    return "\n".join([*lines, _link(body)])


def _listed(found: list[str]) -> list[str]:
    more = [f"- and {len(found) - LINES} more"] if len(found) > LINES else []
    return [f"- {line}" for line in found[:LINES]] + more


def _link(body: Mapping[str, Any]) -> str:
    return f"{settings.PUBLIC_URL}{body['path']}"


def _plain_json(notice: AlertNotice) -> dict[str, Any]:
    return {
        "id": notice.pk,
        **notice.body,
        "subject": notice.subject,
        "link": _link(notice.body),
        "test": notice.is_test,
    }


def _slack(notice: AlertNotice) -> dict[str, Any]:
    """Slack's incoming webhook, which Mattermost, Discord (`/slack`) and others speak as well: `text` is what a phone shows, the
    attachment what a channel does."""
    body = notice.body
    colour = COLOURS.get(body["severity"], OVER) if body["firing"] else OVER
    parts = [body["condition"]]
    for title, key in (("Firing", "firing"), ("Over", "over")):
        if body[key]:
            parts.append("\n".join([f"*{title}*", *(_escaped(line) for line in _listed(body[key]))]))
    if body["advice"]:
        parts.append(_escaped(body["advice"]))
    parts[0] = _escaped(parts[0])
    attachment = {
        "color": colour,
        "title": _escaped(str(body["rule"])),
        "title_link": _link(body),
        "text": "\n".join(parts),
        "fallback": _escaped(plain(notice)),
        "mrkdwn_in": ["text"],
    }
    return {"text": _escaped(notice.subject), "attachments": [attachment]}


def _escaped(text: str) -> str:
    """Slack's three control characters: a group's name must not become a mention of everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
