"""What a page says when its figures cannot be read."""

import logging
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from metering.public import ClickHouseRefused, ClickHouseUnavailable

logger = logging.getLogger(__name__)
UNREADABLE = (ClickHouseUnavailable, ClickHouseRefused, DatabaseError)
# ClickHouse's codes for a question that took too long, and for an answer past its limit of rows.
TOO_LONG, TOO_LARGE = 159, 396


def unreadable(request: HttpRequest, template: str, page: dict[str, Any], error: Exception) -> HttpResponse:
    """The page with the variable `trouble` instead of its figures; 503."""
    logger.warning("%s cannot be shown: %s", request.path, error)
    return render(request, template, page | {"trouble": explained(error)}, status=503)


def not_understood(request: HttpRequest, error: Exception) -> HttpResponse:
    """The address asks for something that there is not; 400."""
    return render(request, "400.html", {"reason": str(error)}, status=400)


def explained_live(error: Exception) -> str:
    """For a page that goes on asking by itself."""
    return explained(error).replace("Load the page again in a moment.", "The page goes on by itself when it is back.")


def explained(error: Exception) -> str:
    if isinstance(error, ClickHouseUnavailable):
        return "ClickHouse does not answer. Load the page again in a moment."
    if not isinstance(error, ClickHouseRefused):
        return "PostgreSQL does not answer. Load the page again in a moment."
    if error.code in {TOO_LONG, TOO_LARGE}:
        return "That is more than one page can read. Choose a shorter range."
    return f"ClickHouse refused the question (code {error.code}). The server's log has the details."
