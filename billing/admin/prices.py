"""Price books and their versions."""

from typing import Any

from django import forms
from django.core.validators import validate_slug
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse

from billing import audit_log, pricebook
from billing.admin import price_pages
from billing.admin.base import Asking, Shown, ShownInline, finished
from billing.admin.fields import dressed
from billing.admin.office import site
from billing.admin.unfolded import action, display
from billing.models import Price, PriceBook, PriceBookVersion


class BookForm(Asking):
    name = forms.CharField(max_length=64, validators=[validate_slug], help_text="letters, digits, - and _")
    description = forms.CharField(max_length=500, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)

    def act(self, values: dict[str, Any]) -> str:
        book, made = PriceBook.objects.get_or_create(
            name=values["name"], defaults={"description": values["description"]}
        )
        if not made:
            raise ValueError(f"there is a book {book.name!r} already")
        audit_log.record(self.actor, "add", book, None, audit_log.snapshot(book), address=self.address)
        return f"{book.name} is there, and empty: give it a version."


class PublishForm(Asking):
    sure = forms.BooleanField(label="I have seen the preview")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)

    def act(self, values: dict[str, Any]) -> str:
        version = PriceBookVersion.objects.select_related("book").get(pk=self.object_id)
        pricebook.publish(version.book.name, version.number, self.actor)
        return f"{version} is published."


class VersionInline(ShownInline):
    model = PriceBookVersion
    verbose_name_plural = "versions"
    fields = ("number", "published", "note", "created_by", "created_at")
    readonly_fields = fields
    ordering = ("-number",)
    per_page = 20
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBookVersion]:
        return super().get_queryset(request).select_related("book", "publication")

    @display(description="published")
    def published(self, row: PriceBookVersion) -> str:
        return _published(row)


class PriceBookAdmin(Shown):
    list_display = ("name", "description", "latest")
    search_fields = ("name",)
    inlines = (VersionInline,)
    actions_list = ("make",)
    actions_detail = ("new_version",)

    def get_urls(self) -> Any:
        page = self.admin_site.admin_view(price_pages.new_version)
        return [path("<object_id>/from/", page, name="billing_pricebook_from"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBook]:
        rows: QuerySet[PriceBook] = super().get_queryset(request).annotate(newest=Max("versions__number"))
        return rows

    @display(description="latest version", ordering="newest")
    def latest(self, row: Any) -> Any:
        return row.newest

    @action(
        description="New book",
        permissions=["act"],
        icon="add",
        dialog={
            "title": "New price book",
            "description": "A contract that names it has its prices before the list's.",
            "form_class": BookForm,
            "form_submit_text": "Make it",
        },
    )
    def make(self, request: HttpRequest, form: BookForm) -> HttpResponse:
        return finished(request, form.done)

    @action(description="New version", permissions=["act"], icon="edit")
    def new_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("admin:billing_pricebook_from", object_id)


class PriceInline(ShownInline):
    model = Price
    verbose_name_plural = "rows that this version adds"
    fields = (
        "model", "kind", "tier", "operation", "region", "context_over", "currency", "charge_model", "amount", "per", "tiers", "rate",
        "effective_from",
    )  # fmt: skip
    readonly_fields = fields
    per_page = 100


class PriceBookVersionAdmin(Shown):
    list_display = ("book", "number", "published", "note", "created_by", "created_at")
    list_filter = ("book",)
    list_select_related = ("book", "publication")
    ordering = ("-id",)
    inlines = (PriceInline,)
    actions_detail = ("preview", "publish")
    fields = ("book", "number", "published", "note", "created_by", "created_at")
    readonly_fields = fields

    @display(description="published")
    def published(self, row: PriceBookVersion) -> str:
        return _published(row)

    @action(description="Preview", permissions=["view"], icon="query_stats")
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = PriceBookVersion.objects.select_related("book").get(pk=object_id)
        return redirect(f"{reverse('price-preview')}?book={version.book.name}&version={version.number}")

    @action(
        description="Publish",
        permissions=["act"],
        icon="publish",
        dialog={
            "title": "Publish this version",
            "description": "From then on usage is billed by it. A published version is never changed; another one can follow.",
            "form_class": PublishForm,
            "form_submit_text": "Publish",
        },
    )
    def publish(self, request: HttpRequest, form: PublishForm, object_id: str) -> HttpResponse:
        return finished(request, form.done)


def _published(row: PriceBookVersion) -> str:
    found = getattr(row, "publication", None)
    return f"{found.published_at:%Y-%m-%d %H:%M}Z by {found.published_by or 'command'}" if found else "draft"


site.register(PriceBook, PriceBookAdmin)
site.register(PriceBookVersion, PriceBookVersionAdmin)
