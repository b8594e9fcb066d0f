from django.urls import path

from billing.api.views import InvoiceLinesView, InvoicesView, UsageView

urlpatterns = [
    path("api/v1/usage", UsageView.as_view(), name="api-usage"),
    path("api/v1/invoices", InvoicesView.as_view(), name="api-invoices"),
    path("api/v1/invoices/<str:number>/lines", InvoiceLinesView.as_view(), name="api-invoice-lines"),
]
