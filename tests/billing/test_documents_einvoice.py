"""The electronic invoice: valid against the schema and every rule of EN 16931, its sums checked here once more by themselves."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import facturx
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from billing.documents import cii, einvoice, typesetting
from billing.documents.document import Document, Kind, NoElectronicInvoice, Party
from billing.documents.hybrid import NotAsExpected, declared_factur_x
from billing.rating.lines import LineType
from tests.billing.documents import BUYER, SELLER, credit_note, document, full, line
from tests.billing.en16931 import broken_rules

NORWAY = replace(SELLER, country="NO", tax_id="NO987654325MVA", registration="987 654 325")
AMERICA = Party(
    name="Initech LLC",
    address_line1="4120 Freidrich Ln",
    city="Austin",
    state="TX",
    postal_code="78744",
    country="US",
    tax_id="12-3456789",
)
ZERO = Decimal(0)


def exempt(category: str, note: str = "", **more: object) -> Document:
    return document(
        line("10.00", tax_rate=ZERO),
        line("2.50", LineType.FLAT_FEE, explanation="Fee", tax_rate=ZERO),
        tax_category=category,
        tax_note=note,
        **more,
    )


CASES: dict[str, Document] = {
    "every kind of line": full(),
    "credit note": credit_note(),
    "two rates": document(
        line("10.00"),
        line("20.00", tax_rate=Decimal("0.07")),
        line("-1.00", LineType.DISCOUNT, explanation="Off", tax_rate=Decimal("0.07")),
    ),
    "standard and zero rate": document(line("10.00"), line("20.00", tax_rate=ZERO)),
    "reverse charge": exempt("AE", "Reverse charge (Article 196 of Directive 2006/112/EC)"),
    "export": exempt("G", "Export outside the EU", buyer=AMERICA),
    "exempt": exempt("E", "Exempt: Article 151 of Directive 2006/112/EC"),
    "outside of VAT": exempt(
        "O", "Not subject to VAT", seller=replace(AMERICA, name="Tallywatt Inc."), buyer=AMERICA, currency="USD"
    ),
    "zero rated": exempt("Z", buyer=replace(BUYER, tax_id="")),
    "seller without registration": document(line("10.00"), seller=replace(SELLER, registration="")),
    "seller with a number that is no VAT ID": document(
        line("10.00"), seller=replace(SELLER, tax_id="103/815/08154", registration="")
    ),
    "yen": document(line("3384"), currency="JPY", digits=0),
    "of Norway": document(line("10.00"), seller=NORWAY, currency="NOK"),
    "below zero": document(
        line("1.00"), line("-12.00", LineType.SERVICE_CREDIT, explanation="Late"), credits_applied="-13.09"
    ),
    "allowances alone": document(line("-5.00", LineType.CREDIT, explanation="Welcome"), credits_applied="-5.95"),
    "nothing": document(),
    "all of it prepaid": document(line("10.00"), credits_applied="11.90"),
    "credit that is bought": document(line("100.00", LineType.TOP_UP, explanation="Prepaid credit"), kind=Kind.TOP_UP),
    "names with markup": document(line("1.00", model="<b>&\"'"), buyer=replace(BUYER, name="A & B <C> \x07\ud800")),
    "collected by card": document(line("10.00"), is_collected=True),
    "included usage": document(
        line("0.30", quantity=Decimal(1_500_000), included=Decimal(1_000_000), unit_amount=Decimal("0.60"))
    ),
}


def texts_of(xml: bytes, path: str) -> list[str]:
    root = etree.fromstring(xml)
    return [found.text or "" for found in root.findall(path, cii.NAMESPACES)]


def amount(xml: bytes, name: str) -> Decimal:
    (found,) = texts_of(xml, f".//ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:{name}")
    return Decimal(found)


def check_sums(xml: bytes, held: Document) -> None:
    """BR-CO-10 to BR-CO-17, by arithmetic of our own."""
    lines = [
        Decimal(text)
        for text in texts_of(xml, ".//ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount")
    ]
    allowances = [Decimal(text) for text in texts_of(xml, ".//ram:SpecifiedTradeAllowanceCharge/ram:ActualAmount")]
    bases = [
        Decimal(text)
        for text in texts_of(xml, ".//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax/ram:BasisAmount")
    ]
    taxes = [
        Decimal(text)
        for text in texts_of(xml, ".//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax/ram:CalculatedAmount")
    ]
    assert amount(xml, "LineTotalAmount") == sum(lines, ZERO)
    assert amount(xml, "AllowanceTotalAmount") == sum(allowances, ZERO)
    assert (
        amount(xml, "TaxBasisTotalAmount")
        == sum(lines, ZERO) - sum(allowances, ZERO)
        == sum(bases, ZERO)
        == held.subtotal
    )
    assert amount(xml, "TaxTotalAmount") == sum(taxes, ZERO) == held.tax
    assert amount(xml, "GrandTotalAmount") == held.subtotal + held.tax == held.total
    assert amount(xml, "DuePayableAmount") == held.total - amount(xml, "TotalPrepaidAmount") == held.amount_due


@pytest.mark.parametrize("name", CASES)
def test_it_is_valid_against_the_schema_and_its_sums_are_right(name: str) -> None:
    xml = einvoice.xml(CASES[name])
    assert facturx.xml_check_xsd(xml, flavor="factur-x", level="en16931")
    check_sums(xml, CASES[name])


def test_it_breaks_no_rule_of_the_standard(tmp_path: Path) -> None:
    assert broken_rules({name: einvoice.xml(held) for name, held in CASES.items()}, tmp_path) == {
        name: [] for name in CASES
    }


def test_the_rules_find_a_wrong_sum_a_wrong_code_and_a_missing_name(tmp_path: Path) -> None:
    right = einvoice.xml(CASES["two rates"])
    wrong = {
        "BR-CO-15": right.replace(b"<ram:GrandTotalAmount>", b"<ram:GrandTotalAmount>9"),
        "ram:CountryID": right.replace(b"<ram:CountryID>NL", b"<ram:CountryID>XY"),
        "BR-07": right.replace(b"<ram:Name>Acme Robotics B.V.</ram:Name>", b""),
    }
    for rule, broken in broken_rules(wrong, tmp_path).items():
        assert any(rule in one for one in broken), (rule, broken)


@given(
    amounts=st.lists(
        st.tuples(
            st.decimals(min_value=-10_000, max_value=10_000, places=2),
            st.sampled_from(
                [LineType.USAGE, LineType.FLAT_FEE, LineType.DISCOUNT, LineType.CREDIT, LineType.ADJUSTMENT]
            ),
            st.sampled_from([Decimal("0.19"), Decimal("0.07"), ZERO]),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_sums_are_right_whatever_the_lines(amounts: list[tuple[Decimal, LineType, Decimal]]) -> None:
    held = document(*(line(str(value), kind, tax_rate=rate, explanation="x") for value, kind, rate in amounts))
    check_sums(einvoice.xml(held), held)


def test_a_line_states_its_price_where_the_price_gives_its_amount() -> None:
    held = document(
        line("10.84", quantity=Decimal(18_059_974), unit_amount=Decimal("0.60")),
        line("99.00", quantity=Decimal(1_000_000), unit_amount=Decimal("0.60")),  # such as one that was tiered
    )
    xml = einvoice.xml(held)
    assert texts_of(xml, ".//ram:NetPriceProductTradePrice/ram:ChargeAmount") == ["0.6", "99"]
    assert texts_of(xml, ".//ram:NetPriceProductTradePrice/ram:BasisQuantity") == ["1000000", "1"]
    assert texts_of(xml, ".//ram:BilledQuantity") == ["18059974", "1"]


def test_a_negative_line_has_a_negative_quantity_and_no_negative_price() -> None:
    xml = einvoice.xml(full())
    quantities = dict(zip(texts_of(xml, ".//ram:LineID"), texts_of(xml, ".//ram:BilledQuantity"), strict=True))
    assert quantities["10"] == "-1"
    assert all(Decimal(price) >= 0 for price in texts_of(xml, ".//ram:NetPriceProductTradePrice/ram:ChargeAmount"))


def test_a_payment_service_leaves_no_account_to_pay_to() -> None:
    assert texts_of(einvoice.xml(CASES["every kind of line"]), ".//ram:IBANID") == ["DE89370400440532013000"]
    assert texts_of(einvoice.xml(CASES["collected by card"]), ".//ram:IBANID") == []


def test_a_credit_note_is_one_and_names_its_invoice() -> None:
    xml = einvoice.xml(credit_note())
    assert texts_of(xml, ".//rsm:ExchangedDocument/ram:TypeCode") == ["381"]
    assert texts_of(xml, ".//ram:InvoiceReferencedDocument/ram:IssuerAssignedID") == ["TW-2026-000042"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda held: replace(held, seller=replace(SELLER, country="")), "the seller has no country"),
        (lambda held: replace(held, seller=Party(name="")), "the seller has no name"),
        (lambda held: replace(held, seller=replace(SELLER, tax_id="")), "the seller has no tax ID"),
        (lambda held: replace(held, buyer=replace(BUYER, country="")), "the customer has no country"),
        (lambda held: replace(held, buyer=replace(BUYER, country="XX")), "the customer has no country"),
        (lambda held: replace(held, buyer=replace(BUYER, name="")), "the customer has no name"),
        (
            lambda held: replace(held, tax_category="AE", buyer=replace(BUYER, tax_id="123")),
            "the customer has no VAT ID",
        ),
        (lambda held: replace(held, tax_category="X"), "the tax category 'X'"),
        (lambda held: replace(held, currency="KWD"), "KWD has more"),
        (lambda held: replace(held, status="void"), "the invoice is void"),
    ],
)
def test_what_the_standard_demands_and_is_not_known_is_named(
    spoil: Callable[[Document], Document], reason: str
) -> None:
    with pytest.raises(NoElectronicInvoice) as refused:
        einvoice.xml(spoil(full()))
    assert any(one.startswith(reason) or reason in one for one in refused.value.reasons)


def test_the_pdf_carries_it_and_says_so(tmp_path: Path) -> None:
    held = full()
    xml = einvoice.xml(held)
    pdf = typesetting.render(held, xml)
    name, inside = facturx.get_facturx_xml_from_pdf(pdf)
    assert (name, inside) == ("factur-x.xml", xml)
    root = pypdf.PdfReader(io.BytesIO(pdf)).trailer["/Root"]
    (attached,) = root["/AF"]
    assert attached.get_object()["/AFRelationship"] == "/Alternative"
    metadata = root["/Metadata"].get_data().decode()
    for text in (
        "<fx:DocumentType>INVOICE<",
        "<fx:ConformanceLevel>EN 16931<",
        "<fx:DocumentFileName>factur-x.xml<",
        "<pdfaSchema:prefix>fx<",
    ):
        assert text in metadata, text
    etree.fromstring(metadata.encode())


@pytest.mark.parametrize(
    "pdf", [b"", b"%PDF-1.7\nnothing", typesetting.render(document()).replace(b"pdfaExtension:schemas>", b"")]
)
def test_a_pdf_that_is_not_as_expected_is_not_declared_to_be_an_invoice(pdf: bytes) -> None:
    with pytest.raises(NotAsExpected):
        declared_factur_x(pdf)


def test_it_is_the_same_every_time() -> None:
    assert hashlib.sha256(einvoice.xml(full())).digest() == hashlib.sha256(einvoice.xml(full())).digest()
