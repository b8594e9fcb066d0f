"""Triggers over everything that is a record, and the rows that existing versions and invoices need beside them.

TRUNCATE is not covered: it is not something that happens to one row by accident, and test databases are emptied with it.
"""

from typing import Any

from django.db import migrations

APPEND_ONLY = (
    "pricebookpublication",
    "taxrate",
    "contractrevision",
    "flatfee",
    "percentagefee",
    "allowance",
    "discount",
    "objective",
    "invoiceevent",
    "payment",
    "creditnote",
    "creditnoteline",
    "refund",
    "reminder",
    "creditgrant",
    "credittransaction",
    "creditentry",
    "stripeusagepush",
    "stripeusagestart",
    "auditentry",
)
RECORDS = "".join(
    f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_{table} "
    "FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();\n"
    for table in APPEND_ONLY
)
RECORDS_REVERSE = "".join(f"DROP TRIGGER append_only ON billing_{table};\n" for table in APPEND_ONLY)

INVOICES = """
CREATE FUNCTION billing_refuse_if_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finalised_at IS NOT NULL THEN
        RAISE EXCEPTION 'invoice % is final and is never changed', OLD.number USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER final_is_final BEFORE UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_if_final();

CREATE FUNCTION billing_refuse_if_invoice_final() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE final_number text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT number INTO final_number FROM billing_invoice WHERE id = OLD.invoice_id AND finalised_at IS NOT NULL;
    END IF;
    IF final_number IS NULL AND TG_OP <> 'DELETE' THEN
        SELECT number INTO final_number FROM billing_invoice WHERE id = NEW.invoice_id AND finalised_at IS NOT NULL;
    END IF;
    IF final_number IS NOT NULL THEN
        RAISE EXCEPTION 'invoice % is final and its % is never changed', final_number, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER final_is_final BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_if_invoice_final();
CREATE TRIGGER final_is_final BEFORE INSERT OR UPDATE OR DELETE ON billing_invoicetax
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_if_invoice_final();
"""
INVOICES_REVERSE = """
DROP TRIGGER final_is_final ON billing_invoicetax;
DROP TRIGGER final_is_final ON billing_invoiceline;
DROP TRIGGER final_is_final ON billing_invoice;
DROP FUNCTION billing_refuse_if_invoice_final();
DROP FUNCTION billing_refuse_if_final();
"""

# At the commit, so that the entries of a transaction may come one after the other.
BALANCED = """
CREATE FUNCTION billing_refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE rest numeric;
BEGIN
    SELECT sum(amount) INTO rest FROM billing_creditentry WHERE transaction_id = NEW.transaction_id;
    IF rest <> 0 THEN
        RAISE EXCEPTION 'the entries of credit transaction % sum to %, not to zero', NEW.transaction_id, rest
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.amount < 0 AND NEW.grant_id IS NOT NULL THEN
        SELECT sum(amount) INTO rest FROM billing_creditentry WHERE grant_id = NEW.grant_id;
        IF rest < 0 THEN
            RAISE EXCEPTION 'grant % of credit would hold %, less than nothing', NEW.grant_id, rest
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON billing_creditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_refuse_unbalanced();
"""
BALANCED_REVERSE = """
DROP TRIGGER balanced ON billing_creditentry;
DROP FUNCTION billing_refuse_unbalanced();
"""


def fill(apps: Any, editor: Any) -> None:
    versions = apps.get_model("billing", "PriceBookVersion")
    publications = apps.get_model("billing", "PriceBookPublication")
    publications.objects.bulk_create([publications(version=row) for row in versions.objects.all()])
    invoices = apps.get_model("billing", "Invoice")
    states = apps.get_model("billing", "InvoiceState")
    states.objects.bulk_create([states(invoice=row, status="open") for row in invoices.objects.all()])


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_contracts_credits_settlements")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(RECORDS, RECORDS_REVERSE),
        migrations.RunSQL(INVOICES, INVOICES_REVERSE),
        migrations.RunSQL(BALANCED, BALANCED_REVERSE),
    ]
