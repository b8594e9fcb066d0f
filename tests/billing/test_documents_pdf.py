"""The PDF: what stands on it, that it is the same every time, and that no text is ever markup."""

import io
import warnings
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pypdf
import pytest
from pikepdf import pdfa
from PIL import Image

from billing.documents import einvoice, typesetting, view
from billing.documents.document import Document, Kind, Party
from billing.rating.lines import LineType
from tests.billing.documents import BUYER, SELLER, credit_note, document, full, line, words_of

SEVERAL_SCRIPTS = "شركة الاختبار חברה 株式会社 한국 漢字 บริษัท कंपनी Компания Εταιρεία Ünï 😀"


def fonts_not_embedded(pdf: bytes) -> set[str]:
    found = set()
    for page in pypdf.PdfReader(io.BytesIO(pdf)).pages:
        for font in page["/Resources"].get("/Font", {}).values():
            described = [inner.get_object()["/FontDescriptor"] for inner in font.get_object()["/DescendantFonts"]]
            found |= {one["/FontName"] for one in described if not {"/FontFile", "/FontFile2", "/FontFile3"} & set(one)}
    return found


def ink_in_the_margins(png: bytes) -> bool:
    """Whether anything is drawn left or right of the type area, which has margins of 20 mm."""
    page = Image.open(io.BytesIO(png)).convert("L")
    margin = int(page.width * 19 / 210)
    left, right = (0, 0, margin, page.height), (page.width - margin, 0, page.width, page.height)
    return any(page.crop(box).getextrema()[0] < 250 for box in (left, right))


def test_everything_that_an_accountant_asks_for_is_on_it() -> None:
    shown = words_of(typesetting.render(full()))
    for text in (
        "Invoice number TW-2026-000042",
        "Date 2 December 2026",
        "Due 1 January 2027",
        "Period 1 to 30 November 2026",
        "Your reference PO-4711",
        "Rheinwerk Inferenz GmbH",
        "Tax ID DE136695976",
        "Acme Robotics B.V.",
        "Netherlands",
        "Input, standard 18,059,974 tokens 0.60 / 1M 10.84",
        "Cached input, standard 1,200,000 tokens 0.075 / 1M 0.09",
        "of failed requests",
        "not billed",
        "1B at 0.50, 4B at 0.34375",
        "Platform fee, 30 of 30 days 500.00",
        "Launch discount, 10 % of usage -188.59",
        "Invoice TW-2026-000031",
        "Late events of October; 1 to 31 October 2026",
        "Welcome credit -50.00",
        "Subtotal 2,251.10",
        "VAT 19 % on 2,251.10 427.71",
        "Total EUR 2,678.81",
        "Prepaid credit applied -100.00",
        "Amount due EUR 2,578.81",
        "0.0040156 EUR less than the subtotal",
        "Please pay 2,578.81 EUR by 1 January 2027",
        "IBAN DE89 3704 0044 0532 0130 00",
        "Usage as of 2026-12-02 06:00:00 UTC (seal 2881)",
        "acme version 2, list version 7",
        "184,223, of them 311 not billed",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ):
        assert text in shown, f"{text!r} in:\n{shown}"


def test_the_same_document_gives_the_same_bytes() -> None:
    held = full()
    inside = einvoice.xml(held)
    assert typesetting.render(held, inside) == typesetting.render(held, inside)
    assert typesetting.render(held) != typesetting.render(replace(held, number="TW-2026-000043"))


def test_a_long_invoice_has_its_head_and_its_number_on_every_page() -> None:
    lines = [
        line("1.00", model=f"model-{number:03d}", kind=kind)
        for number in range(40)
        for kind in ("input", "output", "reasoning", "cached_input", "cache_write")
    ]
    pdf = typesetting.render(document(*lines))
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    assert len(reader.pages) > 3
    for number, page in enumerate(reader.pages, start=1):
        text = page.extract_text()
        assert f"Page {number} of {len(reader.pages)}" in text
        assert "TW-2026-000042" in text
    assert words_of(pdf).count("Sum 5.00") == 40
    assert "Subtotal 200.00" in words_of(pdf)


@pytest.mark.parametrize("held", [full(), credit_note()], ids=["invoice", "credit note"])
def test_it_is_pdf_a_3_with_all_fonts_embedded(held: Document) -> None:
    pdf = typesetting.render(held, einvoice.xml(held))
    assert fonts_not_embedded(pdf) == set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the checker's own libraries
        report = pdfa.validate_written(io.BytesIO(pdf), "3b")
    # The checker approves what it knows, and does not know extension schemas, which ISO 19005-3, 6.6.2.3.2 allows.
    broken = [one for one in report.findings if one.kind == "violation" and one.rule != "ISO_19005_3:6.6.2.3.1-1"]
    assert broken == []


@pytest.mark.parametrize(
    "text",
    [
        '#panic("x")',
        "#import sys",
        "[*bold*] _x_ $x^2$ `raw` <label> @reference",
        "\\ \\u{41} \"quoted\" 'single' // no comment /* none */",
        "]}) #{ while true {} }",
        "= Heading\n- list\n+ enum",
        '{"a": [1]}, "number": "X"',
    ],
)
def test_no_text_is_ever_markup(text: str) -> None:
    held = document(
        line("1.00", model=text, explanation=text, tier=text, unit=text),
        line("2.00", LineType.FLAT_FEE, explanation=text),
        buyer=replace(BUYER, name=text, address_line1=text, reference=text),
        seller=replace(SELLER, name=text, registration=text, bank=text),
        tax_note=text,
    )
    shown = "".join(words_of(typesetting.render(held)).split())
    assert "".join(text.split()) in shown


def test_names_in_every_script_are_drawn_with_fonts_that_are_embedded() -> None:
    held = document(line("1.00"), buyer=replace(BUYER, name=SEVERAL_SCRIPTS, country="JP"), currency="EUR")
    pdf = typesetting.render(held)
    assert fonts_not_embedded(pdf) == set()
    shown = words_of(pdf)
    for word in ("株式会社", "Компания", "Εταιρεία", "Ünï"):
        assert word in shown


def test_a_character_that_no_font_has_becomes_a_question_mark() -> None:
    held = document(line("1.00"), buyer=replace(BUYER, name="Acme \U00013000 Ltd"))
    assert "Acme ? Ltd" in words_of(typesetting.render(held))


def test_nothing_runs_off_the_page() -> None:
    long = "Hochleistungsinferenzverarbeitungsgesellschaft" * 4
    held = document(
        line(
            "123456789012345.67",
            model=long,
            tier=long,
            region=long,
            quantity=Decimal(10**24),
            unit_amount=Decimal("0.000000000123"),
        ),
        buyer=replace(BUYER, name=long, address_line1=long, reference=long, tax_id=long),
        seller=replace(SELLER, name=long, registration=long, bank=long),
        contract=long,
    )
    assert not any(ink_in_the_margins(page) for page in typesetting.pictures(held, ppi=60))


@pytest.mark.parametrize(("country", "width"), [("NL", 595), ("US", 612), ("CA", 612), ("MX", 612), ("", 595)])
def test_the_paper_is_that_of_the_buyers_country(country: str, width: int) -> None:
    pdf = typesetting.render(document(line("1.00"), buyer=replace(BUYER, country=country)))
    assert round(float(pypdf.PdfReader(io.BytesIO(pdf)).pages[0].mediabox.width)) == width


@pytest.mark.parametrize(
    ("currency", "digits", "amount", "written"),
    [("JPY", 0, "3384", "3,384"), ("KWD", 3, "3384.125", "3,384.125"), ("USD", 2, "3384.10", "3,384.10")],
)
def test_amounts_have_the_digits_of_their_currency(currency: str, digits: int, amount: str, written: str) -> None:
    held = document(line(amount, tax_rate=Decimal(0)), currency=currency, digits=digits)
    shown = words_of(typesetting.render(held))
    assert f"Amount due {currency} {written}" in shown
    assert "Scan to pay" not in shown


def test_days_are_those_of_the_contracts_time_zone() -> None:
    start, end = (held.replace(tzinfo=ZoneInfo("Asia/Kathmandu")) for held in (full().period_start, full().period_end))
    held = document(
        line("1.00", start=start, end=end), period_start=start, period_end=end, zone=ZoneInfo("Asia/Kathmandu")
    )
    shown = words_of(typesetting.render(held))
    assert "Period 1 to 30 November 2026" in shown
    assert "Time zone Asia/Kathmandu" in shown


def test_reverse_charge_is_said_with_its_reason() -> None:
    note = "Reverse charge: the recipient is liable for the tax."
    shown = words_of(typesetting.render(document(line("10.00", tax_rate=Decimal(0)), tax_category="AE", tax_note=note)))
    assert note in shown
    assert "VAT 0 % on 10.00 0.00" in shown


def test_several_rates_of_tax_are_a_column_and_a_sum_each() -> None:
    shown = words_of(typesetting.render(document(line("10.00"), line("20.00", tax_rate=Decimal("0.07"))))).replace(
        "\u202f", " "
    )
    assert "VAT 7 % on 20.00 1.40" in shown
    assert "VAT 19 % on 10.00 1.90" in shown
    assert "TAX" in shown


@pytest.mark.parametrize(
    ("status", "mark", "said"),
    [
        ("void", "VOID", "This invoice is void"),
        ("paid", "PAID", "This invoice is paid"),
        ("uncollectible", "WRITTEN OFF", "was written off"),
    ],
)
def test_void_paid_and_written_off_invoices_carry_a_mark_and_ask_for_no_payment(
    status: str, mark: str, said: str
) -> None:
    shown = words_of(typesetting.render(document(line("10.00"), status=status, paid=Decimal("11.90"))))
    assert mark in shown
    assert said in shown
    assert "IBAN" not in shown


def test_an_open_invoice_has_no_mark_and_says_what_is_left() -> None:
    shown = words_of(typesetting.render(document(line("10.00"), paid=Decimal("4.00"), credited=Decimal("1.00"))))
    assert "PAID" not in shown
    assert "Outstanding EUR 6.90" in shown
    assert "Please pay 6.90 EUR" in shown


def test_what_a_payment_service_collects_is_not_to_be_transferred() -> None:
    shown = words_of(typesetting.render(document(line("10.00"), is_collected=True)))
    assert "collected from your payment method" in shown
    assert "IBAN" not in shown
    assert "Scan to pay" not in shown


def test_a_total_below_zero_is_carried_over() -> None:
    held = document(line("-12.00", LineType.SERVICE_CREDIT), credits_applied="-14.28")
    shown = words_of(typesetting.render(held))
    assert "Carried over to your credit 14.28" in shown
    assert "Amount due EUR 0.00" in shown


def test_a_demo_invoice_says_so() -> None:
    assert "Demo data" in words_of(typesetting.render(document(line("1.00"), is_demo=True)))
    assert "Demo data" not in words_of(typesetting.render(document(line("1.00"))))


def test_a_credit_note_names_the_invoice_the_reason_and_what_becomes_of_the_money() -> None:
    shown = words_of(typesetting.render(credit_note())).replace("\n", " ")
    for text in (
        "Credit note number CN-2026-000003",
        "For invoice TW-2026-000042",
        "Invoice of 2 December 2026",
        "Incident of 14 November",
        "reduces what is due",
        "Half of the input",
        "Total EUR 5.95",
    ):
        assert text in shown, text
    assert "Amount due" not in shown


def test_an_invoice_of_nothing_can_be_printed() -> None:
    assert "Nothing was used" in words_of(typesetting.render(document()))


def test_the_sellers_logo_is_drawn_and_one_that_cannot_be_is_not() -> None:
    def size(logo: str) -> int:
        return len(typesetting.render(document(line("1.00"), seller=replace(SELLER, logo=logo))))

    star = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><path d="M0 0L10 0L5 10Z" fill="#f00"/></svg>'
    usual = size("")
    assert size(star) != usual
    for broken in (
        "<svg",
        "not a picture",
        "<svg xmlns='http://www.w3.org/2000/svg'><!DOCTYPE x [<!ENTITY a 'b'>]>&a;</svg>",
    ):
        assert size(broken) == usual


def test_a_logo_brings_no_file_of_the_server_along(tmp_path: Path) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0L9 9Z" stroke="red"/></svg>'
    )
    for href in (str(secret), f"file://{secret}", "templates/mark.svg", "http://127.0.0.1:9/x.svg"):
        logo = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><image href="{href}" width="9" height="9"/></svg>'
        drawn = document(line("1.00"), seller=replace(SELLER, logo=logo))
        empty = replace(SELLER, logo='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"></svg>')
        allowed = [typesetting.pictures(replace(drawn, seller=one)) for one in (empty, SELLER)]
        assert typesetting.pictures(drawn) in allowed, href


def test_what_a_meter_measured_is_named_by_the_meter() -> None:
    held = document(
        line(
            "3.00",
            model="",
            tier="",
            kind="meter:gpu_hours",
            unit="hours",
            quantity=Decimal("1.5"),
            unit_amount=Decimal(2),
            per=1,
        )
    )
    assert "Gpu hours 1.5 hours 2.00 3.00" in words_of(typesetting.render(held))


def test_credit_that_is_bought_has_no_period_and_no_evidence() -> None:
    held = document(line("100.00", LineType.TOP_UP, explanation="Prepaid credit"), kind=Kind.TOP_UP)
    shown = words_of(typesetting.render(held))
    assert "Prepaid credit 100.00" in shown
    assert "Period" not in shown
    assert "How to check".upper() not in shown


def test_lines_of_a_model_stand_together_in_the_order_of_kinds() -> None:
    held = document(
        line("1.00", model="b", kind="output"),
        line("2.00", model="a"),
        line("3.00", model="b"),
        line("4.00", model="b", kind="gpu_seconds", unit="seconds"),
    )
    (usage,) = view.of(held)["sections"]
    assert [group["title"] for group in usage["groups"]] == ["b", "a"]
    assert [row["text"] for row in usage["groups"][0]["rows"]] == [
        "Input, standard",
        "Output, standard",
        "Gpu seconds, standard",
    ]
    assert usage["groups"][0]["total"] == "8.00"


def test_a_party_without_anything_but_a_name_is_enough() -> None:
    assert "acme" in words_of(
        typesetting.render(document(line("1.00"), seller=Party(name=""), buyer=Party(name="acme")))
    )
