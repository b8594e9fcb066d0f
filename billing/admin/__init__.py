"""The back office. Importing this registers its pages; `config/urls.py` gives it its address."""

from billing.admin import agreements, credits, invoices, objectives, prices, records, runs
from billing.admin.office import site

__all__ = ["agreements", "credits", "invoices", "objectives", "prices", "records", "runs", "site"]
