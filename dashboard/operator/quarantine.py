"""Quarantine for operators: the list, one entry with its bytes and an editor, and steps over all that match."""

import logging
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from dashboard.access import OPERATOR, Visitor, only
from dashboard.operator import quarantine_shown as shown
from dashboard.operator.feed import Reading
from metering.public import (
    QUARANTINE_MOST_AT_ONCE,
    AlreadyDecided,
    BulkOutcome,
    ClickHouseRefused,
    ClickHouseUnavailable,
    EntryCounts,
    EntryFilter,
    QuarantineEntry,
    Rendering,
    ReplayRefused,
    SpoolFull,
    UnknownFilter,
    quarantine_conflict,
    quarantine_counts,
    quarantine_cursor,
    quarantine_discard,
    quarantine_discard_matching,
    quarantine_entries,
    quarantine_entry,
    quarantine_position,
    quarantine_rendered,
    quarantine_replay,
    quarantine_replay_matching,
)

logger = logging.getLogger(__name__)
PAGE = 50
LONGEST_NOTE = 1000
UNREADABLE = (ClickHouseUnavailable, ClickHouseRefused, DatabaseError)
EVERY_S = 5.0  # how often the number of those that match is counted while somebody looks at the list
UNREADABLE_MESSAGE = "ClickHouse or PostgreSQL does not answer. Nothing was changed; load the page again in a moment."


@require_GET
@only(OPERATOR)
def entries(request: HttpRequest, who: Visitor) -> HttpResponse:
    try:
        asked = EntryFilter.read(request.GET.dict())
        cursor = request.GET.get("cursor")
        after = quarantine_position(cursor) if cursor else None
    except UnknownFilter as error:
        return _not_understood(request, error)
    page: dict[str, Any] = _page(asked) | {"states": shown.STATES, "on": bool(after)}
    try:
        found, counts = quarantine_entries(asked, limit=PAGE, after=after), quarantine_counts(asked)
    except UNREADABLE as error:
        logger.warning("quarantine cannot be read: %s", error)
        return render(request, "operator/quarantine.html", page | {"trouble": UNREADABLE_MESSAGE}, status=503)
    page |= {
        "entries": [(one, shown.headline(one)) for one in found.entries],
        "counts": counts,
        "facets": shown.facets(asked, counts),
        "older": shown.query(asked, cursor=quarantine_cursor(found.next)) if found.next else "",
        "stream": "" if asked.text else f"{reverse('operator-quarantine-live')}?{shown.query(asked)}",
        "at": timezone.now(),
    }
    return render(request, "operator/quarantine.html", page)


def now(asked: EntryFilter) -> Reading:
    """How many match, and when the newest of them arrived. Not by words in bytes: that reads all of them."""
    return Reading(timezone.now(), {"quarantine-now": render_to_string("operator/_quarantine_now.html", _now(asked))})


def _now(asked: EntryFilter) -> dict[str, Any]:
    newest = quarantine_entries(asked, limit=1).entries
    return {
        "counts": quarantine_counts(asked),
        "newest": newest[0].ingested_at if newest else None,
        "asked": asked,
        "query": shown.query(asked),
    }


@require_http_methods(["GET", "POST"])
@only(OPERATOR)
def entry(request: HttpRequest, who: Visitor, batch: UUID, row: int, reason: str) -> HttpResponse:
    """The entry; by POST, `action` replay (with `text`, if it was edited) or discard (with `note`)."""
    try:
        asked = EntryFilter.read(request.GET.dict())
    except UnknownFilter as error:
        return _not_understood(request, error)
    try:
        found = quarantine_entry(str(batch), row, reason)
        if found is None:
            raise Http404(f"there is no entry {batch}/{row}/{reason} in quarantine")
        if request.method == "POST":
            return _decide(request, who, found, asked)
        return _entry_page(request, found, asked)
    except UNREADABLE as error:
        logger.warning("an entry of quarantine cannot be read or decided: %s", error)
        page = _page(asked) | {"trouble": UNREADABLE_MESSAGE, "states": shown.STATES}
        return render(request, "operator/quarantine.html", page, status=503)


def _decide(request: HttpRequest, who: Visitor, found: QuarantineEntry, asked: EntryFilter) -> HttpResponse:
    """To the entry again if it is done, so that a reload does not repeat it; else the page with what was typed, and why not."""
    action, text = request.POST.get("action"), request.POST.get("text")
    try:
        if action == "replay":
            quarantine_replay(found, _edited(text, quarantine_rendered(found.raw or b"")), who.name)
            messages.success(request, "Replayed. The event is on its way into usage.")
        elif action == "discard":
            quarantine_discard(found, who.name, request.POST.get("note", "")[:LONGEST_NOTE])
            messages.success(request, "Discarded. Its bytes stay here.")
        else:
            return _entry_page(request, found, asked, trouble="Choose Replay or Discard.", status=400)
    except AlreadyDecided as late:
        messages.warning(request, f"Somebody was faster: {late}.")
    except ReplayRefused as refused:
        return _entry_page(request, found, asked, refused=refused, text=text, status=422)
    except (SpoolFull, OSError) as error:
        logger.warning("a replay was not taken: %s", error)
        trouble = f"Not replayed: {error}. The entry is as it was; try again when there is room."
        return _entry_page(request, found, asked, trouble=trouble, text=text, status=503)
    return redirect(_address(found, asked))


def _edited(text: str | None, was: Rendering) -> bytes | None:
    """What was typed; None if that is what the page had shown, or nothing where there was nothing to edit."""
    if text is None:
        return None
    typed = text.replace("\r\n", "\n")  # a browser sends line ends of its own
    untouched = {was.text.replace("\r\n", "\n"), was.text.replace("\r\n", "\n").strip("\n")} if was.editable else {""}
    return None if typed in untouched else typed.encode(errors="replace")


def _entry_page(
    request: HttpRequest,
    found: QuarantineEntry,
    asked: EntryFilter,
    *,
    refused: ReplayRefused | None = None,
    trouble: str = "",
    text: str | None = None,
    status: int = 200,
) -> HttpResponse:
    rendering = quarantine_rendered(found.raw or b"")
    page = _page(asked) | {
        "entry": found,
        "headline": shown.headline(found),
        "rendering": rendering,
        "text": text if text is not None else rendering.text if rendering.editable else "",
        "conflict": quarantine_conflict(found),
        "following": _following(found, asked),
        "refused": refused,
        "trouble": trouble,
    }
    return render(request, "operator/quarantine_entry.html", page, status=status)


def _following(found: QuarantineEntry, asked: EntryFilter) -> str:
    """The address of the next older open entry that matches; '' at the end."""
    following = quarantine_entries(replace(asked, state="open"), limit=1, after=found.key).entries
    return _address(following[0], asked) if following else ""


@require_http_methods(["GET", "POST"])
@only(OPERATOR)
def replay_all(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _bulk(request, who, "replay")


@require_http_methods(["GET", "POST"])
@only(OPERATOR)
def discard_all(request: HttpRequest, who: Visitor) -> HttpResponse:
    return _bulk(request, who, "discard")


def _bulk(request: HttpRequest, who: Visitor, action: str) -> HttpResponse:
    """By GET the question, which states the number; by POST the step, if that number still holds."""
    given = request.POST.dict() if request.method == "POST" else request.GET.dict()
    try:
        step = _step(action, given)
    except UnknownFilter as error:
        return _not_understood(request, error)
    try:
        counts = quarantine_counts(step.bounded)
        if request.method == "GET" or given.get("expected") != str(counts.total):
            return _question(request, step, counts)
        return _told(request, step, step.carry_out(who.name))
    except UNREADABLE as error:
        logger.warning("a step over quarantine ended early: %s", error)
        page = _page(step.asked) | {"trouble": UNREADABLE_MESSAGE, "states": shown.STATES}
        return render(request, "operator/quarantine.html", page, status=503)


@dataclass(frozen=True)
class _Step:
    """A decision about all open entries that match. `until`: what arrives after the question was asked is not part of it."""

    action: str
    asked: EntryFilter
    until: str
    cursor: str
    note: str

    @property
    def bounded(self) -> EntryFilter:
        return EntryFilter.read({"to": self.until} | self.asked.words())

    def carry_out(self, by: str) -> BulkOutcome:
        after = quarantine_position(self.cursor) if self.cursor else None
        if self.action == "replay":
            return quarantine_replay_matching(self.bounded, by, after=after)
        return quarantine_discard_matching(self.bounded, by, self.note, after=after)

    def words(self) -> dict[str, str]:
        return self.asked.words() | {"until": self.until} | ({"cursor": self.cursor} if self.cursor else {})


def _step(action: str, given: dict[str, str]) -> _Step:
    """Raises UnknownFilter."""
    asked = replace(EntryFilter.read(given), state="open")
    cursor = given.get("cursor", "")
    if cursor:
        quarantine_position(cursor)
    until = given.get("until") or timezone.now().isoformat()
    step = _Step(action, asked, until, cursor, given.get("note", "")[:LONGEST_NOTE])
    EntryFilter.read(step.bounded.words())  # an `until` that is no time is refused here, by name
    return step


def _question(request: HttpRequest, step: _Step, counts: EntryCounts) -> HttpResponse:
    page = _page(step.asked) | {
        "step": step,
        "verb": shown.ACTIONS[step.action],
        "done": shown.DONE[step.action],
        "hidden": step.words() | {"expected": str(counts.total)},
        "counts": counts,
        "facets": shown.facets(step.asked, counts),
        "now": min(counts.total, QUARANTINE_MOST_AT_ONCE),
        "most": QUARANTINE_MOST_AT_ONCE,
        "changed": request.method == "POST",
    }
    return render(request, "operator/quarantine_bulk.html", page, status=409 if request.method == "POST" else 200)


def _told(request: HttpRequest, step: _Step, outcome: BulkOutcome) -> HttpResponse:
    """Back to the list; or, where there is more, to the question about the rest."""
    clean = not (outcome.failures or outcome.stopped)
    (messages.success if clean else messages.warning)(request, shown.told(step.action, outcome))
    if outcome.next is None or outcome.stopped:
        return redirect(f"{reverse('operator-quarantine')}?{shown.query(step.asked)}".rstrip("?"))
    rest = urlencode(step.words() | {"cursor": quarantine_cursor(outcome.next)})
    return redirect(f"{reverse(f'operator-quarantine-{step.action}')}?{rest}")


def _page(asked: EntryFilter) -> dict[str, Any]:
    """What every page of quarantine needs."""
    return {
        "section": "quarantine",
        "asked": asked,
        "words": asked.words(),
        "query": shown.query(asked),
        "narrowed": shown.described(asked),
        "all_open": shown.query(replace(asked, state="open")),
    }


def _address(found: QuarantineEntry, asked: EntryFilter) -> str:
    path = reverse("operator-quarantine-entry", args=[found.batch, found.row, found.reason])
    return f"{path}?{shown.query(asked)}".rstrip("?")


def _not_understood(request: HttpRequest, error: UnknownFilter) -> HttpResponse:
    return render(request, "400.html", {"reason": f"{error}."}, status=400)
