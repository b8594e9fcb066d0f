"""What changes alerts: forms of operators, each a POST. After it the page is shown again with a word of what came of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from dashboard import formats, trouble
from dashboard.access import OPERATOR, Visitor, only
from metering.public import (
    ALERT_MEASURES,
    AlertRefused,
    AlertRuleInfo,
    AnnotationRefused,
    alert_board,
    alert_desk,
    annotate,
    withdraw_annotation,
)

BACK_TESTED = timedelta(days=7)
SHOWN_SPANS = 20
HOURS = {"1": "1 hour", "4": "4 hours", "24": "a day", "168": "a week"}
LIST = "operator-alerts"
FORM = "operator/alert_rule_form.html"
# Every field, so that a template never finds a dictionary's own `clear` where one is missing.
BLANK = dict.fromkeys(
    (
        "name",
        "measure",
        "kind",
        "direction",
        "threshold",
        "clear",
        "for_minutes",
        "window",
        "group_by",
        "severity",
        "advice",
    ),
    "",
)
GROUPS = tuple(dict.fromkeys(name for measure in ALERT_MEASURES.values() for name in measure.dimensions))
SECTIONS = [(section, list(found)) for section, found in groupby(ALERT_MEASURES.values(), key=lambda one: one.section)]
WINDOWS = {"1h": "1 hour and 5 minutes", "6h": "6 hours and 30 minutes", "3d": "3 days and 6 hours"}


@only(OPERATOR)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, who: Visitor, number: int | None = None) -> HttpResponse:
    """A rule's form. `try=1` says what it would have done; else it is saved."""
    rule = alert_board.rule(number) if number is not None else None
    if number is not None and rule is None:
        raise Http404("There is no such rule.")
    channels = alert_board.channels()
    page: dict[str, Any] = {
        "section": "alerts",
        "rule": rule,
        "sections": SECTIONS,
        "channels": channels,
        "scope": alert_desk.SCOPE,
        "groups": GROUPS,
        "windows": WINDOWS,
    }
    if request.method == "GET":
        told = [one.id for one in channels if rule and one.name in rule.channels]
        return render(request, FORM, page | {"given": _given(rule), "chosen": told})
    given = BLANK | request.POST.dict()
    chosen = [int(one) for one in request.POST.getlist("channels") if one.isascii() and one.isdigit()]
    page |= {"given": given, "chosen": chosen}
    try:
        if given.get("try"):
            return render(request, FORM, page | _tried(given))
        saved = alert_desk.save_rule(number, given, chosen, by=who.name)
    except AlertRefused as error:
        return render(request, FORM, page | {"refused": str(error)}, status=422)
    except trouble.UNREADABLE as error:
        return render(request, FORM, page | {"refused": trouble.explained(error)}, status=503)
    messages.success(request, f"{given.get('name', '')}: saved. It is looked at within a minute.")
    return redirect("operator-alert-rule", number=str(saved))


def _given(rule: AlertRuleInfo | None) -> dict[str, Any]:
    if rule is None:
        return BLANK | {"kind": "threshold", "direction": "above", "for_minutes": "5", "severity": "ticket"}
    named = ("name", "measure", "kind", "direction", "for_minutes", "window", "group_by", "severity", "advice")
    numbers = {name: f"{value:g}" for name in ("threshold", "clear") if (value := getattr(rule, name)) is not None}
    return BLANK | {name: getattr(rule, name) for name in named} | dict(rule.scope) | numbers


def _tried(given: dict[str, str]) -> dict[str, Any]:
    end = datetime.now(UTC)
    found, step = alert_desk.back_test(given, end - BACK_TESTED, end)
    spans = [(begin, until, group) for group, all_of in found.items() for begin, until in all_of]
    lasting = sum(((until or end) - begin for begin, until, _ in spans), timedelta())
    measure = ALERT_MEASURES[given["measure"]]
    return {
        "tried": True,
        "times": len(spans),
        "in_groups": len(found),
        "lasting": formats.span(lasting),
        "steps": formats.span(step),
        "kept_here": measure.read is None,
        "spans": sorted(spans, key=lambda one: one[0], reverse=True)[:SHOWN_SPANS],
        "more": max(len(spans) - SHOWN_SPANS, 0),
    }


def _post(act: Callable[[HttpRequest, Visitor, int], str]) -> Any:
    """A view that does one thing to one object, says what came of it, and goes back."""

    @only(OPERATOR)
    @require_POST
    def view(request: HttpRequest, who: Visitor, number: int) -> HttpResponse:
        try:
            messages.success(request, act(request, who, number))
        except AlertRefused as error:
            messages.error(request, str(error))
        of = request.POST.get("rule", "")
        return redirect("operator-alert-rule", number=of) if of.isascii() and of.isdigit() else redirect(LIST)

    return view


def _delete(request: HttpRequest, who: Visitor, number: int) -> str:
    alert_desk.delete_rule(number, by=who.name)
    return "The rule is deleted. What it found stays in the history."


def _enable(request: HttpRequest, who: Visitor, number: int) -> str:
    enabled = request.POST.get("enabled") == "1"
    alert_desk.enable_rule(number, enabled, by=who.name)
    return "The rule is on." if enabled else "The rule is off: it finds nothing and tells nobody."


def _acknowledge(request: HttpRequest, who: Visitor, number: int) -> str:
    if not alert_desk.acknowledge(number, by=who.name):
        raise AlertRefused("It is over by now, or somebody has acknowledged it before.")
    return "Acknowledged: others see that you look after it."


def _end_silence(request: HttpRequest, who: Visitor, number: int) -> str:
    alert_desk.end_silence(number, by=who.name)
    return "The silence has ended. What still fires is told within a minute."


def _enable_channel(request: HttpRequest, who: Visitor, number: int) -> str:
    enabled = request.POST.get("enabled") == "1"
    alert_desk.enable_channel(number, enabled)
    return "The channel is on." if enabled else "The channel is off: nothing new is sent through it."


def _delete_channel(request: HttpRequest, who: Visitor, number: int) -> str:
    alert_desk.delete_channel(number)
    return "The channel is deleted, with its notices."


def _test_channel(request: HttpRequest, who: Visitor, number: int) -> str:
    failure = alert_desk.send_test(number, by=who.name)
    if failure:
        raise AlertRefused(f"The test did not arrive: {failure}")
    return "The test was taken by the other side."


def _again(request: HttpRequest, who: Visitor, number: int) -> str:
    if not alert_desk.try_again(number):
        raise AlertRefused("It was delivered by now.")
    return "It is on its way again."


def _withdraw(request: HttpRequest, who: Visitor, number: int) -> str:
    if not withdraw_annotation(number, by=who.name):
        raise AlertRefused("It was withdrawn before.")
    return "Withdrawn: no chart shows it any more."


delete = _post(_delete)
enable = _post(_enable)
acknowledge = _post(_acknowledge)
end_silence = _post(_end_silence)
enable_channel = _post(_enable_channel)
delete_channel = _post(_delete_channel)
test_channel = _post(_test_channel)
again = _post(_again)
withdraw = _post(_withdraw)


@only(OPERATOR)
@require_POST
def silence(request: HttpRequest, who: Visitor) -> HttpResponse:
    given = request.POST
    of, hours = given.get("rule", ""), given.get("hours", "1")
    rule = int(of) if of.isascii() and of.isdigit() else None
    now = datetime.now(UTC)
    try:
        if hours not in HOURS:
            raise AlertRefused(f"Choose for how long: {', '.join(HOURS.values())}.")
        end = now + timedelta(hours=int(hours))
        reason, matching = given.get("reason", "").strip(), given.get("matching", "").strip()
        alert_desk.silence(by=who.name, rule=rule, matching=matching, start=now, end=end, reason=reason)
        messages.success(request, f"Nobody is told until {end:%-d %b %H:%M} UTC. What happens is still recorded.")
    except AlertRefused as error:
        messages.error(request, str(error))
    return redirect(LIST)


@only(OPERATOR)
@require_POST
def save_channel(request: HttpRequest, who: Visitor) -> HttpResponse:
    named = _channel_fields(request)
    try:
        number = alert_desk.save_channel(None, **named)
        if request.POST.get("for_silent_rules") == "1":
            alert_desk.give_to_silent_rules(number)
        messages.success(request, f"{named['name']}: made. Send a test to see whether notices arrive.")
    except AlertRefused as error:
        messages.error(request, str(error))
    return redirect(LIST)


@only(OPERATOR)
@require_http_methods(["GET", "POST"])
def edit_channel(request: HttpRequest, who: Visitor, number: int) -> HttpResponse:
    """A channel's form. Its address and secret are not shown; left empty they stay as they are."""
    channel = next((one for one in alert_board.channels() if one.id == number), None)
    if channel is None:
        raise Http404("There is no such channel.")
    page: dict[str, Any] = {"section": "alerts", "channel": channel}
    if request.method == "GET":
        return render(
            request, "operator/alert_channel.html", page | {"given": {"name": channel.name, "kind": channel.kind}}
        )
    named = _channel_fields(request)
    try:
        alert_desk.save_channel(number, **named)
    except AlertRefused as error:
        said = {"given": named, "refused": str(error)}
        return render(request, "operator/alert_channel.html", page | said, status=422)
    messages.success(request, f"{named['name']}: saved.")
    return redirect(LIST)


def _channel_fields(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip() for name in ("name", "kind", "target", "secret")}


@only(OPERATOR)
@require_POST
def add_annotation(request: HttpRequest, who: Visitor) -> HttpResponse:
    given = {name: value.strip() for name, value in request.POST.dict().items() if isinstance(value, str)}
    named = {name: given.get(name, "") for name in ("link", "model", "region", "cluster")}
    try:
        at, until = (_moment(given.get(name, "")) for name in ("at", "until"))
        annotate(given.get("kind", ""), given.get("text", ""), by=who.name, at=at, until=until, **named)
        messages.success(request, "Put down: every chart over that time shows it.")
    except AnnotationRefused as error:
        messages.error(request, str(error))
    return redirect(LIST)


def _moment(text: str) -> datetime | None:
    """Of a field of type datetime-local, in UTC."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        raise AnnotationRefused("at", f"{text!r} is no time: write it as 2026-11-03T14:00 (UTC).") from None
