from django.contrib.auth.views import LogoutView
from django.urls import path

from dashboard import credits, documents, drilldown, invoices
from dashboard.finance import margin, price_explain, price_preview, prices
from dashboard.login import Login, home
from dashboard.operator import energy, fleet, ingest, leakage, quarantine
from dashboard.operator import views as operator
from dashboard.portal import views as portal

urlpatterns = [
    path("", home, name="home"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("operator/", operator.overview, name="operator-overview"),
    path("operator/live/", operator.live, name="operator-live"),
    path("ingest/", ingest.ingest, name="operator-ingest"),
    path("operator/quarantine/", quarantine.entries, name="operator-quarantine"),
    path("operator/quarantine/replay/", quarantine.replay_all, name="operator-quarantine-replay"),
    path("operator/quarantine/discard/", quarantine.discard_all, name="operator-quarantine-discard"),
    path(
        "operator/quarantine/<uuid:batch>/<int:row>/<str:reason>/", quarantine.entry, name="operator-quarantine-entry"
    ),
    path("operator/fleet/", fleet.fleet, name="operator-fleet"),
    path("operator/energy/", energy.energy, name="operator-energy"),
    path("operator/leakage/", leakage.leakage, name="operator-leakage"),
    path("margin/", margin.margin, name="margin"),
    path("margin.csv", margin.margin_csv, name="margin-csv"),
    path("prices/", prices.books, name="prices"),
    path("prices/books/<slug:name>/", prices.book, name="price-book"),
    path("prices/explain/", price_explain.explain, name="price-explain"),
    path("prices/preview/", price_preview.asking, name="price-preview"),
    path("prices/preview/<int:number>/", price_preview.result, name="price-preview-result"),
    path("prices/preview/<int:number>.csv", price_preview.result_csv, name="price-preview-csv"),
    path("customers/", portal.customers, name="customers"),
    path("customers/<str:key>/", portal.customer, name="customer"),
    path("customers/<str:key>/usage.csv", portal.customer_csv, name="customer-csv"),
    path("customers/<str:key>/credits/", credits.customer_credits, name="customer-credits"),
    path("customers/<str:key>/credits.csv", credits.customer_credits_csv, name="customer-credits-csv"),
    path("customers/<str:key>/draft/", invoices.any_draft, name="customer-draft"),
    path("credits/", credits.all_credits, name="credits"),
    path("invoices/", invoices.all_invoices, name="invoices"),
    path("invoices.csv", invoices.all_csv, name="invoices-csv"),
    path("invoices/<str:number>/lines/<int:line>/", drilldown.any_line, name="invoice-line"),
    path("invoices/<str:number>/proof/", drilldown.any_proof, name="invoice-proof"),
    path("invoices/<str:number>.pdf", documents.any_pdf, name="invoice-pdf"),
    path("invoices/<str:number>.xml", documents.any_xml, name="invoice-xml"),
    path("invoices/<str:number>/items.csv", documents.any_items, name="invoice-items"),
    path("credit-notes/<str:number>.pdf", documents.any_credit_note, name="credit-note-pdf"),
    path("invoices/<str:number>/", invoices.any_invoice, name="invoice"),
    path("portal/", portal.portal, name="portal"),
    path("portal/usage.csv", portal.portal_csv, name="portal-csv"),
    path("portal/credits/", credits.own_credits, name="portal-credits"),
    path("portal/credits.csv", credits.own_credits_csv, name="portal-credits-csv"),
    path("portal/prices/", price_explain.own_prices, name="portal-prices"),
    path("portal/prices/explain/", price_explain.own, name="portal-price-explain"),
    path("portal/invoices/draft/", invoices.own_draft, name="portal-draft"),
    path("portal/invoices/", invoices.own_invoices, name="portal-invoices"),
    path("portal/invoices.csv", invoices.own_csv, name="portal-invoices-csv"),
    path("portal/invoices/<str:number>/lines/<int:line>/", drilldown.own_line, name="portal-invoice-line"),
    path("portal/invoices/<str:number>/proof/", drilldown.own_proof, name="portal-invoice-proof"),
    path("portal/invoices/<str:number>.pdf", documents.own_pdf, name="portal-invoice-pdf"),
    path("portal/invoices/<str:number>.xml", documents.own_xml, name="portal-invoice-xml"),
    path("portal/invoices/<str:number>/items.csv", documents.own_items, name="portal-invoice-items"),
    path("portal/credit-notes/<str:number>.pdf", documents.own_credit_note, name="portal-credit-note-pdf"),
    path("portal/invoices/<str:number>/", invoices.own_invoice, name="portal-invoice"),
]
