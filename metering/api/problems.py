"""Errors of the REST endpoints as RFC 9457 problems, whatever format the answer would have had."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions, status

from metering.clickhouse.client import (
    TIMEOUT_EXCEEDED,
    TOO_MANY_ROWS_OR_BYTES,
    ClickHouseRefused,
    ClickHouseUnavailable,
)
from metering.problems import problem

RETRY_AFTER_S = 5


class InvalidParameter(exceptions.APIException):
    """400, naming the parameter or field and what is wrong with it."""

    status_code = status.HTTP_400_BAD_REQUEST

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT


class TooMuch(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "that is more than one answer can hold: ask for a shorter time, larger windows or fewer groups"


class Unavailable(exceptions.APIException):
    """503: a database does not answer; nothing is wrong with the request."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "a database does not answer; try again in a moment"
    wait = RETRY_AFTER_S


def problem_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """An exception handler for Django REST framework. None for what is a fault of ours: it is raised on, and logged."""
    known = _known(error)
    if known is None:
        return None
    headers = {}
    if (challenge := getattr(known, "auth_header", None)) is not None:
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(known, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    members = {}
    if isinstance(known, InvalidParameter):
        members["errors"] = [{"parameter": known.name, "reason": known.reason}]
    return problem(known.status_code, str(known.detail), headers=headers, **members)


def _known(error: Exception) -> exceptions.APIException | None:
    match error:
        case exceptions.APIException():
            return error
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case ClickHouseUnavailable() | OperationalError():
            return Unavailable()
        case ClickHouseRefused(code=code) if code in {TIMEOUT_EXCEEDED, TOO_MANY_ROWS_OR_BYTES}:
            return TooMuch()
    return None
