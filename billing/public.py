"""The only way into this package for the dashboard and for programs that seed data. What is not named here is not theirs to use."""

from billing.closing import Closed, PeriodOpen, close_period
from billing.costing import cost_to_date, costed_usage
from billing.credit_reading import credit_balances, credit_entries, credit_grants, credit_outlook, top_up_rule
from billing.documents import Detail as ItemDetail
from billing.documents import NoElectronicInvoice, NoSuchDocument, credit_note_pdf, streamed
from billing.documents import einvoice_xml as invoice_xml
from billing.documents import itemised_csv as invoice_items
from billing.documents import pdf as invoice_pdf
from billing.drilldown import NotUsage
from billing.drilldown import hours as line_hours
from billing.drilldown import requests as line_requests
from billing.forecast import draft
from billing.invoices import STATUSES as INVOICE_STATUSES
from billing.invoices import credit_notes, invoice, invoices, payable
from billing.invoicing import DraftRefused
from billing.margin import margin_report, margin_reports, margin_settled_hour
from billing.margin_kept import kept_margins
from billing.periods import month, month_of
from billing.price_explanation import (
    NotExplained,
    PriceCandidate,
    PriceExplained,
    Question,
    RequestExplained,
    explain_price,
    explain_request,
)
from billing.price_preview import MOST_MONTHS as PREVIEW_MOST_MONTHS
from billing.price_preview import Bill, CustomerPreview, Preview, PreviewRefused, PreviewTotal
from billing.price_preview_runs import PreviewRun
from billing.price_preview_runs import ask as ask_price_preview
from billing.price_preview_runs import look as price_preview_run
from billing.price_preview_runs import recent as price_preview_runs
from billing.pricebook import (
    BookInfo,
    PriceChange,
    PriceInfo,
    PriceRefused,
    PriceRow,
    PriceSet,
    UnknownVersion,
    VersionInfo,
    set_price,
)
from billing.pricebook import all_books as price_books
from billing.pricebook import differences as price_book_differences
from billing.pricebook import in_force as price_book_prices
from billing.pricebook import remarks as price_book_remarks
from billing.pricebook import versions_of as price_book_versions
from billing.proof_document import ProofRefused, proof_document
from billing.rating import ANY_MODEL, METER, plain
from billing.tenant_prices import prices_of as tenant_price_list

__all__ = [
    "ANY_MODEL",
    "INVOICE_STATUSES",
    "METER",
    "PREVIEW_MOST_MONTHS",
    "Bill",
    "BookInfo",
    "Closed",
    "CustomerPreview",
    "DraftRefused",
    "ItemDetail",
    "NoElectronicInvoice",
    "NoSuchDocument",
    "NotExplained",
    "NotUsage",
    "PeriodOpen",
    "Preview",
    "PreviewRefused",
    "PreviewRun",
    "PreviewTotal",
    "PriceCandidate",
    "PriceChange",
    "PriceExplained",
    "PriceInfo",
    "PriceRefused",
    "PriceRow",
    "PriceSet",
    "ProofRefused",
    "Question",
    "RequestExplained",
    "UnknownVersion",
    "VersionInfo",
    "ask_price_preview",
    "close_period",
    "cost_to_date",
    "costed_usage",
    "credit_balances",
    "credit_entries",
    "credit_grants",
    "credit_note_pdf",
    "credit_notes",
    "credit_outlook",
    "draft",
    "explain_price",
    "explain_request",
    "invoice",
    "invoice_items",
    "invoice_pdf",
    "invoice_xml",
    "invoices",
    "kept_margins",
    "line_hours",
    "line_requests",
    "margin_report",
    "margin_reports",
    "margin_settled_hour",
    "month",
    "month_of",
    "payable",
    "plain",
    "price_book_differences",
    "price_book_prices",
    "price_book_remarks",
    "price_book_versions",
    "price_books",
    "price_preview_run",
    "price_preview_runs",
    "proof_document",
    "set_price",
    "streamed",
    "tenant_price_list",
    "top_up_rule",
]
