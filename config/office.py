"""How the back office (`/admin/`, billing/admin) looks: django-unfold's settings."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, model: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist")}


NAVIGATION = [
    {
        "title": "Billing",
        "items": [
            _item("Invoices", "receipt_long", "billing_invoice"),
            _item("Runs", "play_circle", "billing_invoicerun"),
            _item("Payments", "payments", "billing_payment"),
            _item("Credit notes", "undo", "billing_creditnote"),
        ],
    },
    {
        "title": "Agreements",
        "items": [
            _item("Customers", "apartment", "billing_customer"),
            _item("Contracts", "contract", "billing_contract"),
            _item("Price books", "sell", "billing_pricebook"),
            _item("Tax rates", "percent", "billing_taxrate"),
            _item("Seller", "storefront", "billing_seller"),
        ],
    },
    {
        "title": "Credit",
        "items": [
            _item("Grants", "redeem", "billing_creditgrant"),
            _item("Ledger", "account_balance", "billing_credittransaction"),
            _item("Top-ups", "autorenew", "billing_topuprule"),
        ],
    },
    {
        "title": "Stripe",
        "items": [
            _item("Tasks", "outbox", "billing_stripetask"),
            _item("Events", "inbox", "billing_stripeevent"),
            _item("Differences", "difference", "billing_stripedifference"),
        ],
    },
    {"title": "Service", "items": [_item("Objectives", "target", "metering_objective")]},
    {"title": "Record", "items": [_item("Audit log", "history", "billing_auditentry")]},
]

# The dashboard's accent (dashboard/static/dashboard/tokens.css), lighter and darker.
ACCENT = {
    "50": "#f0f8fc",
    "100": "#e2f0f7",
    "200": "#c0dfee",
    "300": "#93c9e3",
    "400": "#6cc3ea",
    "500": "#2a8fbf",
    "600": "#0b5c82",
    "700": "#094c6c",
    "800": "#083f59",
    "900": "#08354a",
    "950": "#06222f",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tallywatt back office",
    "SITE_HEADER": "Tallywatt",
    "SITE_SUBHEADER": "Back office",
    "SITE_ICON": lambda request: static("dashboard/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("dashboard/mark.svg")}],
    "SITE_URL": "/",
    "SHOW_HISTORY": False,  # the audit log has who, when, before and after
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {"primary": ACCENT},
    "COMMAND": {"search_models": True, "show_history": False},
    "SIDEBAR": {"show_search": False, "command_search": True, "show_all_applications": False, "navigation": NAVIGATION},
}
