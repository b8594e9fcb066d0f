"""Triggers that keep the record: prices are never changed, and neither is an invoice, with its lines and taxes, once it is final.

TRUNCATE is not covered: it is not something that happens to one row by accident, and test databases are emptied with it.
"""

from django.db import migrations

PRICES = """
CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: rows are never changed or deleted, add a new one', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_price
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_pricebookversion
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
"""
PRICES_REVERSE = """
DROP TRIGGER append_only ON billing_price;
DROP TRIGGER append_only ON billing_pricebookversion;
DROP FUNCTION billing_refuse_change();
"""

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


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(PRICES, PRICES_REVERSE),
        migrations.RunSQL(INVOICES, INVOICES_REVERSE),
    ]
