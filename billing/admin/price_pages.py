"""A new version of a price book, made from the prices that hold now."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold import widgets

from billing import pricebook
from billing.admin.fields import dressed
from billing.admin.office import FINANCE, role, site
from billing.models import PriceBook, PriceBookVersion


class VersionForm(forms.Form):
    prices = forms.CharField(
        required=False,
        strip=False,
        widget=widgets.UnfoldAdminTextareaWidget(
            attrs={"rows": 18, "spellcheck": "false", "style": "font-family: monospace"}
        ),
        help_text="CSV with a header; an empty effective_from is the moment of publishing, an empty per a million tokens",
    )
    file = forms.FileField(
        required=False,
        label="or a file",
        widget=widgets.UnfoldAdminFileFieldWidget,
        help_text="CSV or JSON, instead of the text",
    )
    complete = forms.BooleanField(
        required=False, label="withdraw what is not listed", help_text="prices of the book that have no row here end"
    )
    note = forms.CharField(max_length=500, required=False, help_text="why: kept with the version")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed_widgets = {name: self.fields[name].widget for name in ("prices", "file")}
        dressed(self)
        for name, widget in dressed_widgets.items():
            self.fields[name].widget = widget

    def text(self) -> str:
        """What was sent: the file, if there is one. Raises ValueError for bytes that are no UTF-8."""
        upload = self.cleaned_data.get("file")
        return str(upload.read().decode() if upload else self.cleaned_data["prices"])


def new_version(request: HttpRequest, object_id: str) -> HttpResponse:
    """The form, and the draft that it makes."""
    if role(request) != FINANCE:
        raise PermissionDenied("Prices are changed by finance.")
    book = PriceBook.objects.filter(pk=object_id).first() if str(object_id).isdigit() else None
    if book is None:
        raise Http404("there is no such price book")
    if request.method == "POST":
        form = VersionForm(request.POST, request.FILES)
        made = _draft(form, book, request.user.get_username()) if form.is_valid() else None
        if made is not None:
            messages.success(request, f"{made} is a draft: look at its preview, then publish it.")
            return redirect("admin:billing_pricebookversion_change", made.pk)
    else:
        held = sorted(pricebook.latest_by_key(book.name).items())
        rows = [each.row for _, each in held if each.row.charge_model != "withdrawn"]
        form = VersionForm(initial={"prices": pricebook.as_csv(rows)})
    context = site.each_context(request) | {
        "form": form,
        "book": book,
        "title": f"New version of {book.name}",
        "back": reverse("admin:billing_pricebook_change", args=[book.pk]),
    }
    return TemplateResponse(
        request, "admin/billing/price_version.html", context, status=422 if form.is_bound and form.errors else 200
    )


def _draft(form: VersionForm, book: PriceBook, actor: str) -> PriceBookVersion | None:
    try:
        rows = pricebook.read_file(form.text())
        return pricebook.new_version(
            book.name, rows, form.cleaned_data["note"], actor, complete=form.cleaned_data["complete"]
        )
    except ValueError as error:  # UnicodeDecodeError is one
        form.add_error(None, str(error))
        return None
