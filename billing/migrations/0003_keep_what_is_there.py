"""Prices and invoices made before contracts: fields renamed, and what is new filled from what is there. Nothing is lost or re-rated."""

import datetime
import json
from typing import Any

from django.db import migrations, models

from billing.models.base import money

DROP = """
DROP TRIGGER final_is_final ON billing_invoicetax;
DROP TRIGGER final_is_final ON billing_invoiceline;
DROP TRIGGER final_is_final ON billing_invoice;
DROP FUNCTION billing_refuse_if_invoice_final();
DROP FUNCTION billing_refuse_if_final();
"""
DAYS = 30  # what payment terms are where nothing else was agreed


def fill(apps: Any, editor: Any) -> None:
    invoices = apps.get_model("billing", "Invoice")
    lines = apps.get_model("billing", "InvoiceLine")
    for row in invoices.objects.iterator():
        issued = (row.finalised_at or row.created_at).date()
        invoices.objects.filter(pk=row.pk).update(
            price_versions={row.price_book: row.price_version},
            amount_due=row.total,
            issued_on=issued,
            due_on=issued + datetime.timedelta(days=DAYS),
        )
    for row in lines.objects.iterator():
        billed = "billed" if row.billed else "free"
        key = ["usage", row.model, row.tier, "", "", 0, row.kind, billed, f"{row.start:%Y%m%dT%H%MZ}"]
        lines.objects.filter(pk=row.pk).update(key=json.dumps(key, ensure_ascii=False, separators=(",", ":")))


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_final_is_final")]

    operations = [
        migrations.RunSQL(DROP, migrations.RunSQL.noop),
        migrations.RenameField("price", "per_million", "amount"),
        migrations.RenameField("invoiceline", "per_million", "unit_amount"),
        migrations.AddField("invoice", "price_versions", models.JSONField(default=dict), preserve_default=False),
        migrations.AddField("invoice", "amount_due", money(default=0), preserve_default=False),
        migrations.AddField(
            "invoice", "issued_on", models.DateField(default=datetime.date(2026, 1, 1)), preserve_default=False
        ),
        migrations.AddField(
            "invoice", "due_on", models.DateField(default=datetime.date(2026, 1, 1)), preserve_default=False
        ),
        migrations.AddField(
            "invoiceline", "type", models.CharField(default="usage", max_length=16), preserve_default=False
        ),
        migrations.AddField("invoiceline", "key", models.TextField(default=""), preserve_default=False),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
