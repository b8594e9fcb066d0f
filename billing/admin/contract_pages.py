"""Pages that make a contract, or a new revision from the terms that hold."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing import agreements, contract_terms
from billing.admin.fields import dressed
from billing.admin.office import FINANCE, role, site
from billing.admin.terms_form import TermsForms
from billing.models import Contract
from billing.rating.terms import Terms
from metering import public as metering


class OpeningForm(forms.Form):
    """What a contract has for ever."""

    tenant = forms.ChoiceField()
    number = forms.CharField(max_length=32, required=False, help_text="empty: the next one")
    time_zone = forms.CharField(max_length=64, initial="UTC", help_text="such as Europe/Berlin")
    anchor_day = forms.IntegerField(min_value=1, max_value=31, required=False, help_text="empty: the first day's")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].choices = [  # type: ignore[attr-defined]
            (each.key, f"{each.name} ({each.key}, {each.currency})") for each in metering.tenants()
        ]
        dressed(self)


def add(request: HttpRequest) -> HttpResponse:
    """A new contract."""
    _finance_only(request)
    sent = request.POST or None
    opening, held = OpeningForm(sent, prefix="opening"), TermsForms(Terms(), sent)
    problem = ""
    if sent and all([opening.is_valid(), held.is_valid()]):
        values, head = opening.cleaned_data, held.head.cleaned_data
        try:
            made = agreements.create_contract(
                tenant=values["tenant"],
                starts_on=head["effective_on"],
                actor=request.user.get_username(),
                terms=held.terms(active=True),
                time_zone=values["time_zone"],
                anchor_day=values["anchor_day"],
                number=values["number"] or None,
                note=head["note"],
                address=request.META.get("REMOTE_ADDR"),
            )
        except ValueError as error:
            problem = str(error)
        else:
            messages.success(request, f"Contract {made.number} is made.")
            return redirect("admin:billing_contract_change", Contract.objects.get(number=made.number).pk)
    return _page(
        request,
        held,
        title="New contract",
        intro="The first period begins on the first day and ends at the next anchor; prices are the list's unless a book is named.",
        label="Make the contract",
        back=reverse("admin:billing_contract_changelist"),
        problem=problem,
        opening=opening,
    )


def change(request: HttpRequest, object_id: str) -> HttpResponse:
    """A new revision, which starts from the one that holds today (or on the first day)."""
    _finance_only(request)
    row = Contract.objects.filter(pk=object_id).first() if str(object_id).isdigit() else None
    info = contract_terms.contract(row.number) if row else None
    if row is None or info is None:
        raise Http404("there is no such contract")
    sent = request.POST or None
    today = max(timezone.localdate(timezone=info.zone), info.starts_on)
    now = info.holding_on(today) or info.revisions[-1]
    held = TermsForms(now.terms, sent)
    if not sent:
        held.head.initial["effective_on"] = today
    waiting = [f"{each.effective_on}" for each in info.revisions if each.effective_on > today]
    problem, back = "", reverse("admin:billing_contract_change", args=[row.pk])
    if sent and held.is_valid():
        head = held.head.cleaned_data
        try:
            agreements.change_contract(
                row.number,
                effective_on=head["effective_on"],
                terms=held.terms(active=now.terms.active),
                actor=request.user.get_username(),
                note=head["note"],
                address=request.META.get("REMOTE_ADDR"),
            )
        except ValueError as error:
            problem = str(error)
        else:
            messages.success(request, f"Contract {row.number}: the new terms hold from {head['effective_on']} on.")
            return redirect(back)
    return _page(
        request,
        held,
        title=f"Change {row.number} of {row.tenant}",
        intro="A change is a new revision that states everything anew. Fees are divided by days; nothing that is invoiced changes."
        + (f" What was agreed for {', '.join(waiting)} still follows then." if waiting else ""),
        label="Add the revision",
        back=back,
        problem=problem,
    )


def _finance_only(request: HttpRequest) -> None:
    if role(request) != FINANCE:
        raise PermissionDenied("Contracts are changed by finance.")


def _page(request: HttpRequest, held: TermsForms, **context: Any) -> HttpResponse:
    values = site.each_context(request) | {"forms": held, "parts": held.shown()} | context
    return TemplateResponse(request, "admin/billing/terms.html", values, status=422 if context["problem"] else 200)
