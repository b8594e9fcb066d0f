from django.contrib.auth.views import LogoutView
from django.urls import path

from dashboard import invoices
from dashboard.finance import margin
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
    path("customers/", portal.customers, name="customers"),
    path("customers/<str:key>/", portal.customer, name="customer"),
    path("customers/<str:key>/usage.csv", portal.customer_csv, name="customer-csv"),
    path("invoices/", invoices.all_invoices, name="invoices"),
    path("invoices.csv", invoices.all_csv, name="invoices-csv"),
    path("invoices/<str:number>/", invoices.any_invoice, name="invoice"),
    path("portal/", portal.portal, name="portal"),
    path("portal/usage.csv", portal.portal_csv, name="portal-csv"),
    path("portal/invoices/", invoices.own_invoices, name="portal-invoices"),
    path("portal/invoices.csv", invoices.own_csv, name="portal-invoices-csv"),
    path("portal/invoices/<str:number>/", invoices.own_invoice, name="portal-invoice"),
]
