"""The effect of a version of a price book on bills of the past: asked for here, made by a worker, shown with the worst shock first."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from billing.public import (
    PREVIEW_MOST_MONTHS,
    PreviewRefused,
    PreviewRun,
    UnknownVersion,
    ask_price_preview,
    price_book_versions,
    price_books,
    price_preview_run,
    price_preview_runs,
)
from dashboard import csv
from dashboard.access import FINANCE, OPERATOR, Visitor, only
from dashboard.finance import price_preview_shown as shown

SECTION = {"section": "prices", "part": "preview"}
USUAL_MONTHS = 3
MONTHS = tuple(range(1, PREVIEW_MOST_MONTHS + 1))


@require_http_methods(["GET", "POST"])
@only(OPERATOR, FINANCE)
def asking(request: HttpRequest, who: Visitor) -> HttpResponse:
    """The form and the previews that were asked for; by POST, `book`, `version`, `months` and `as_dated` ask for one."""
    if request.method == "GET":
        return _form(request, _texts(request.GET))
    asked = _texts(request.POST)
    try:
        number = ask_price_preview(
            asked.get("book", ""),
            _whole("version", asked),
            _whole("months", asked),
            as_dated="as_dated" in asked,
            by=who.name,
        )
    except (PreviewRefused, UnknownVersion, ValueError) as error:
        return _form(request, asked, trouble=str(error), status=400)
    return redirect("price-preview-result", number)


@require_GET
@only(OPERATOR, FINANCE)
def result(request: HttpRequest, who: Visitor, number: int) -> HttpResponse:
    run = _run(number)
    page: dict[str, Any] = SECTION | {"run": run}
    if run.preview is not None:
        page |= {
            "totals": shown.totals(run.preview),
            "customers": shown.customers(run.preview),
            "left_out": max(len(run.preview.customers) - shown.MOST_SHOWN, 0),
            "unpriced": shown.unpriced(run.preview),
        }
    return render(request, "finance/price_preview_result.html", page)


@require_GET
@only(OPERATOR, FINANCE)
def result_csv(request: HttpRequest, who: Visitor, number: int) -> HttpResponse:
    """Every bill of every customer, both sides."""
    run = _run(number)
    if run.preview is None:
        raise Http404(f"price preview {number} has no result yet")
    return csv.download(f"price-preview-{number}.csv", shown.COLUMNS, shown.csv_rows(run.preview))


def _run(number: int) -> PreviewRun:
    run = price_preview_run(number)
    if run is None:
        raise Http404(f"there is no price preview {number}")
    return run


def _form(request: HttpRequest, asked: dict[str, str], *, trouble: str = "", status: int = 200) -> HttpResponse:
    books = price_books()
    chosen = asked.get("book") or next((one.name for one in books if one.drafts), books[0].name if books else "")
    versions = price_book_versions(chosen) if any(one.name == chosen for one in books) else []
    page = SECTION | {
        "books": books,
        "book": chosen,
        "versions": versions,
        "version": asked.get("version", ""),
        "months": asked.get("months", str(USUAL_MONTHS)),
        "choices": MONTHS,
        "as_dated": "as_dated" in asked,
        "runs": price_preview_runs(),
        "refused": trouble,
    }
    return render(request, "finance/price_preview.html", page, status=status)


def _texts(query: QueryDict) -> dict[str, str]:
    return {name: str(value) for name, value in query.items()}


def _whole(name: str, asked: dict[str, str]) -> int:
    text = asked.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise ValueError(f"{name}: choose one")
    return int(text)
