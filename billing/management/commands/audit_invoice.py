"""`manage.py audit_invoice NUMBER`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing.audit import audit
from billing.invoices import payable
from billing.settling import UnknownInvoice
from metering.public import StackCommand


class Command(StackCommand):
    help = "Recompute an invoice from raw events, and name every place where it differs."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("number", help="e.g. TW-2026-000001")

    def run(self, **options: Any) -> str | None:
        try:
            report = audit(options["number"])
        except (UnknownInvoice, ValueError) as error:
            raise CommandError(str(error)) from error
        invoice = report.invoice
        for place in report.differences:
            self.stdout.write(place)
        if report.differences:
            count = len(report.differences)
            raise CommandError(
                f"{invoice.number} does not agree with the raw events: {count} difference{'' if count == 1 else 's'}"
            )
        return (
            f"{invoice.number} agrees to the cent: {payable(invoice.total, invoice.currency)} {invoice.currency}, "
            f"{report.lines} lines, {invoice.requests:,} requests, {invoice.input_tokens:,} input and "
            f"{invoice.output_tokens:,} output tokens of {invoice.tenant} from {invoice.period_start:%Y-%m-%d} to "
            f"{invoice.period_end:%Y-%m-%d}, recomputed from raw events as of {invoice.watermark.isoformat()} (seal "
            f"{invoice.seal}, prices {_versions(invoice.price_versions)}, rating v{invoice.rating_version})"
        )


def _versions(versions: dict[str, int]) -> str:
    return ", ".join(f"{book} v{number}" for book, number in sorted(versions.items())) or "none"
