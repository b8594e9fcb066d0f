"""Quarantine for programs: list, look at, replay and discard. A tenant's key reads its own entries, and decides nothing."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.api import quarantine_shapes as shapes
from metering.api.access import HasScope, KeyAuthentication, credential_of, require_operator
from metering.api.bodies import ExactJsonRenderer, ObjectParser
from metering.api.problems import Conflict, InvalidParameter, problem_handler
from metering.clickhouse.queries.quarantine import Key
from metering.contracts import Credential, Scope
from metering.ingest.spool import SpoolFull
from metering.problems import problem
from metering.quarantine.bulk import MOST_AT_ONCE, discard_matching, replay_matching
from metering.quarantine.conflicts import conflict
from metering.quarantine.counting import counts
from metering.quarantine.decisions import AlreadyDecided, discard, replay
from metering.quarantine.entries import QuarantineEntry, entries, entry
from metering.quarantine.filters import (
    FILTERS,
    LAST_ROW,
    EntryFilter,
    State,
    UnknownFilter,
    cursor,
    own_senders,
    position,
)
from metering.quarantine.preparing import ReplayRefused

DEFAULT_LIMIT, MOST_LISTED = 100, 1000
LONGEST_NOTE = 1000
NARROWING = tuple(name for name in FILTERS if name != "state")
MOMENT = "RFC 3339, or a date (its midnight in UTC)"
PARAMETERS = [
    OpenApiParameter("state", str, enum=[state.value for state in State], description="default: open"),
    OpenApiParameter("reason", str),
    OpenApiParameter("tenant", str, description="a tenant's key reads its own only"),
    OpenApiParameter("decoder", str),
    OpenApiParameter("api_key", str, description="the prefix of the key that sent it"),
    OpenApiParameter("text", str, description="part of the message or of the bytes, such as an event's id"),
    OpenApiParameter("from", str, description=f"arrived at or after; {MOMENT}"),
    OpenApiParameter("to", str, description=f"arrived before; {MOMENT}"),
    OpenApiParameter("limit", int, description=f"1 to {MOST_LISTED}; default: {DEFAULT_LIMIT}"),
    OpenApiParameter("cursor", str, description="`next` of the page before"),
]


class SpoolIsFull(exceptions.APIException):
    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    wait = 5


class NotTaken(exceptions.APIException):
    """503: the disk did not take it."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "nothing was taken; try again"
    wait = 5


class _View(APIView):
    """Key authentication, one scope, strict JSON, problems for errors. Whatever is not a GET is an operator's."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    parser_classes = (ObjectParser,)
    renderer_classes = (ExactJsonRenderer,)

    def needed(self, method: str | None) -> Scope:
        return Scope.QUARANTINE

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            require_operator(credential_of(request))

    def get_exception_handler(self) -> Any:
        return _answer_to


class EntriesView(_View):
    """What was not taken, the newest arrival first."""

    @extend_schema(operation_id="quarantine", parameters=PARAMETERS, responses=shapes.EntriesShape)
    def get(self, request: Request) -> Response:
        given = _singles(request.query_params, (*FILTERS, "limit", "cursor", "format"))
        own = credential_of(request).tenant is not None
        asked = _filter(given, credential_of(request))
        page = entries(asked, limit=_limit(given.get("limit")), after=_after(given.get("cursor")))
        return Response(
            {
                "data": [shapes.listed(one, own=own) for one in page.entries],
                "counts": shapes.counted(counts(asked)),
                "next": cursor(page.next) if page.next else None,
            }
        )


class EntryView(_View):
    """One entry with its bytes; for a conflict, with the event that is billed."""

    @extend_schema(operation_id="quarantine_entry", responses=shapes.WholeEntryShape)
    def get(self, request: Request, batch: str, row: str, reason: str) -> Response:
        found = _entry(request, batch, row, reason)
        return Response(shapes.whole(found, conflict(found), own=credential_of(request).tenant is not None))


class ReplayView(_View):
    @extend_schema(operation_id="quarantine_replay_one", request=shapes.ReplayShape, responses=shapes.ReplayedShape)
    def post(self, request: Request, batch: str, row: str, reason: str) -> Response:
        """Take it after all, as it was kept or with other bytes. 422 if it is still bad, 409 if it was decided already."""
        edited = _edited(_known(request.data, ("raw", "raw_base64")))
        became = replay(_entry(request, batch, row, reason), edited, _by(request))
        return Response({"state": State.REPLAYED.value, "batch": became})


class DiscardView(_View):
    @extend_schema(operation_id="quarantine_discard_one", request=shapes.DiscardShape, responses=shapes.DiscardedShape)
    def post(self, request: Request, batch: str, row: str, reason: str) -> Response:
        """Leave it out for good. Its bytes stay. 409 if it was decided already."""
        note = _note(_known(request.data, ("note",)))
        discard(_entry(request, batch, row, reason), _by(request), note)
        return Response({"state": State.DISCARDED.value})


class ReplayMatchingView(_View):
    @extend_schema(operation_id="quarantine_replay", request=shapes.BulkShape, responses=shapes.BulkOutcomeShape)
    def post(self, request: Request) -> Response:
        """Replay the open entries that match, the oldest first, at most 10,000 at once."""
        asked, after = _bulk(_known(request.data, ("all", *NARROWING, "cursor")), credential_of(request))
        outcome = replay_matching(asked, _by(request), after=after, limit=MOST_AT_ONCE)
        return Response(shapes.bulk("replayed", outcome))


class DiscardMatchingView(_View):
    @extend_schema(operation_id="quarantine_discard", request=shapes.BulkShape, responses=shapes.BulkOutcomeShape)
    def post(self, request: Request) -> Response:
        """Discard the open entries that match, the oldest first, at most 10,000 at once."""
        body = _known(request.data, ("all", *NARROWING, "cursor", "note"))
        asked, after = _bulk(body, credential_of(request))
        outcome = discard_matching(asked, _by(request), _note(body), after=after, limit=MOST_AT_ONCE)
        return Response(shapes.bulk("discarded", outcome))


def _answer_to(error: Exception, context: dict[str, Any]) -> Any:
    match error:
        case UnknownFilter():
            return problem_handler(InvalidParameter(error.name, error.reason), context)
        case AlreadyDecided():
            return problem_handler(Conflict(str(error)), context)
        case ReplayRefused():
            fault = {"index": error.index, "field": error.field, "reason": error.reason, "message": error.message}
            return problem(422, error.message, refused=[fault])
        case SpoolFull():
            return problem_handler(SpoolIsFull(str(error)), context)
        case OSError():
            return problem_handler(NotTaken(), context)
    return problem_handler(error, context)


def _filter(given: Mapping[str, Any], credential: Credential) -> EntryFilter:
    """The wall: a tenant's key gets its own tenant's entries by its own keys, whatever the request names."""
    own = credential.tenant
    if own is None:
        return EntryFilter.read(given)
    if given.get("tenant") not in {None, "", own}:
        raise exceptions.PermissionDenied("this key reads one tenant, and that is not the one named")
    return EntryFilter.read({**given, "tenant": own}, own_senders(own))


def _entry(request: Request, batch: str, row: str, reason: str) -> QuarantineEntry:
    """404 alike for what there is not and for another tenant's."""
    missing = exceptions.NotFound(f"there is no entry {batch[:40]}/{row[:20]}/{reason[:64]}")
    within = _filter({"state": State.ALL}, credential_of(request))
    try:
        name = str(UUID(batch))
    except ValueError:
        raise missing from None
    if not (row.isascii() and row.isdigit() and len(row) <= 10 and int(row) <= LAST_ROW):
        raise missing
    found = entry(name, int(row), reason, within)
    if found is None:
        raise missing
    return found


def _bulk(body: Mapping[str, Any], credential: Credential) -> tuple[EntryFilter, Key | None]:
    """A body without a filter would mean everything, which nobody should say by leaving something out."""
    if body.get("all") is not True and not any(body.get(name) for name in NARROWING):
        raise InvalidParameter("all", f"name a filter ({', '.join(NARROWING)}), or send all: true")
    return _filter(body, credential), _after(body.get("cursor"))


def _after(text: object) -> Key | None:
    if text in {None, ""}:
        return None
    return position(text if isinstance(text, str) else "")


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_LISTED):
        raise InvalidParameter("limit", f"{text[:40]!r} is not a whole number from 1 to {MOST_LISTED}")
    return int(text)


def _singles(query: QueryDict, known: tuple[str, ...]) -> dict[str, str]:
    """Each parameter once: which of two counts would be a guess. Nothing unknown is ignored."""
    for name, values in query.lists():
        if name not in known:
            raise InvalidParameter(name[:80], f"unknown parameter; known: {', '.join(known)}")
        if len(values) > 1:
            raise InvalidParameter(name, "given more than once")
    return {name: values[-1] for name, values in query.lists() if isinstance(values[-1], str)}


def _known(body: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The JSON object that was sent, if it has no other fields."""
    found: Mapping[str, Any] = body if isinstance(body, dict) else {}
    for name in found:
        if name not in known:
            raise InvalidParameter(name[:80], f"unknown field; known: {', '.join(known)}")
    return found


def _edited(body: Mapping[str, Any]) -> bytes | None:
    if not body:
        return None
    if len(body) > 1:
        raise InvalidParameter("raw", "send raw or raw_base64, not both")
    ((name, value),) = body.items()
    if not isinstance(value, str):
        raise InvalidParameter(name, "text is expected")
    try:
        return value.encode() if name == "raw" else base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParameter(name, "is not base64" if name != "raw" else "is not valid Unicode") from None


def _note(body: Mapping[str, Any]) -> str:
    note = body.get("note") or ""
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise InvalidParameter("note", f"text of at most {LONGEST_NOTE} characters is expected")
    return note


def _by(request: Request) -> str:
    return f"tw_{credential_of(request).prefix}"
