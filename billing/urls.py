from django.urls import path

from billing.api.margin import MarginView
from billing.api.views import InvoiceLinesView, InvoicesView, UsageView

urlpatterns = [
    path("api/v1/usage", UsageView.as_view(), name="api-usage"),
    path("api/v1/margin", MarginView.as_view(), name="api-margin"),
    path("api/v1/invoices", InvoicesView.as_view(), name="api-invoices"),
    path("api/v1/invoices/<str:number>/lines", InvoiceLinesView.as_view(), name="api-invoice-lines"),
]
