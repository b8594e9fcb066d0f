from django.urls import path

from billing import stripe_links, webhooks
from billing.api.agreements import ContractsView, ContractView, CustomersView
from billing.api.credits import CreditsView, CreditTransactionsView
from billing.api.documents import (
    CreditNotePdfView,
    CreditNoteXmlView,
    InvoiceItemsView,
    InvoicePdfView,
    InvoiceXmlView,
)
from billing.api.drilldown import LineUsageView
from billing.api.margin import MarginView
from billing.api.prices import PriceExplainView, PricesView
from billing.api.proofs import ProofView
from billing.api.views import CreditNotesView, DraftView, InvoiceLinesView, InvoicesView, UsageView

urlpatterns = [
    path("stripe/pay/<str:token>", stripe_links.pay, name="stripe-pay"),
    path("stripe/webhook", webhooks.stripe_webhook, name="stripe-webhook"),
    path("api/v1/usage", UsageView.as_view(), name="api-usage"),
    path("api/v1/margin", MarginView.as_view(), name="api-margin"),
    path("api/v1/prices", PricesView.as_view(), name="api-prices"),
    path("api/v1/prices/explain", PriceExplainView.as_view(), name="api-price-explain"),
    path("api/v1/credits", CreditsView.as_view(), name="api-credits"),
    path("api/v1/credits/transactions", CreditTransactionsView.as_view(), name="api-credit-transactions"),
    path("api/v1/contracts", ContractsView.as_view(), name="api-contracts"),
    path("api/v1/contracts/<str:number>", ContractView.as_view(), name="api-contract"),
    path("api/v1/customers", CustomersView.as_view(), name="api-customers"),
    path("api/v1/credit-notes", CreditNotesView.as_view(), name="api-credit-notes"),
    path("api/v1/invoices/draft", DraftView.as_view(), name="api-invoice-draft"),
    path("api/v1/invoices", InvoicesView.as_view(), name="api-invoices"),
    path("api/v1/invoices/<str:number>.pdf", InvoicePdfView.as_view(), name="api-invoice-pdf"),
    path("api/v1/invoices/<str:number>.xml", InvoiceXmlView.as_view(), name="api-invoice-xml"),
    path("api/v1/invoices/<str:number>/items.csv", InvoiceItemsView.as_view(), name="api-invoice-items"),
    path("api/v1/credit-notes/<str:number>.pdf", CreditNotePdfView.as_view(), name="api-credit-note-pdf"),
    path("api/v1/credit-notes/<str:number>.xml", CreditNoteXmlView.as_view(), name="api-credit-note-xml"),
    path("api/v1/invoices/<str:number>/lines", InvoiceLinesView.as_view(), name="api-invoice-lines"),
    path("api/v1/invoices/<str:number>/lines/<int:line>/usage", LineUsageView.as_view(), name="api-invoice-line-usage"),
    path("api/v1/invoices/<str:number>/proof", ProofView.as_view(), name="api-invoice-proof"),
]
