"""Price books: the list of them, one with its versions and prices, and what one version changed."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.public import (
    UnknownVersion,
    VersionInfo,
    price_book_differences,
    price_book_prices,
    price_book_remarks,
    price_book_versions,
    price_books,
)
from dashboard import trouble
from dashboard.access import FINANCE, OPERATOR, Visitor, only
from dashboard.finance import prices_shown as shown

SECTION = {"section": "prices", "part": "books"}
MOST_SHOWN = 500  # rows of a table: a book may have tens of thousands


@require_GET
@only(OPERATOR, FINANCE)
def books(request: HttpRequest, who: Visitor) -> HttpResponse:
    return render(request, "finance/prices.html", SECTION | {"books": price_books()})


@require_GET
@only(OPERATOR, FINANCE)
def book(request: HttpRequest, who: Visitor, name: str) -> HttpResponse:
    """`version`: as of which one (default: the latest published, or a draft of a book that has none). `against`: compared with which.
    `model`: prices of models with this in their name.
    """
    try:
        versions = price_book_versions(name)
    except UnknownVersion as error:
        raise Http404(str(error)) from error
    try:
        asked = _version(request.GET.get("version"), versions) or _latest(versions)
        against = _version(request.GET.get("against"), versions) or _before(asked, versions)
    except ValueError as error:
        return trouble.not_understood(request, error)
    page: dict[str, Any] = SECTION | {
        "name": name,
        "versions": versions,
        "version": asked,
        "against": against,
        "model": request.GET.get("model", "").strip(),
    }
    if asked is not None:
        page |= _of_version(name, asked.number, against.number if against else 0, page["model"])
    return render(request, "finance/price_book.html", page)


def _of_version(name: str, version: int, older: int, model: str) -> dict[str, Any]:
    prices = [one for one in price_book_prices(name, version) if shown.concerns(one, model)]
    changes = [
        one for one in price_book_differences(name, older, version) if shown.concerns(one.after or one.before, model)
    ]
    return {
        "prices": shown.lines(prices[:MOST_SHOWN], timezone.now()),
        "prices_left": max(len(prices) - MOST_SHOWN, 0),
        "changes": shown.change_lines(changes[:MOST_SHOWN]),
        "changes_left": max(len(changes) - MOST_SHOWN, 0),
        "remarks": price_book_remarks(name, version),
    }


def _version(text: str | None, versions: list[VersionInfo]) -> VersionInfo | None:
    if not text:
        return None
    found = next((one for one in versions if str(one.number) == text), None)
    if found is None:
        raise ValueError(f"there is no version {text!r} of this price book")
    return found


def _latest(versions: list[VersionInfo]) -> VersionInfo | None:
    """The latest published; of a book without one, the latest draft."""
    return next((one for one in versions if one.published_at), versions[0] if versions else None)


def _before(version: VersionInfo | None, versions: list[VersionInfo]) -> VersionInfo | None:
    """The published version that held before it."""
    older = (one for one in versions if version and one.published_at and one.number < version.number)
    return next(older, None)
