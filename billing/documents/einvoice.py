"""The invoice as EN 16931 wants it, in the syntax of UN/CEFACT CII (Factur-X, profile EN 16931).

What is on it: each line of the invoice; discounts, service credits and promotional credit as allowances of the document (BG-20);
prepaid credit as what was paid already (BT-113). A negative line has a negative quantity, since a price may not be negative (BR-27).
`BT-n` and `BG-n` are the standard's names of what an element holds.
"""

from collections.abc import Iterable
from decimal import Decimal
from xml.etree import ElementTree

from billing.documents import cii, einvoice_rules, texts
from billing.documents.cii import Node, amount_text, dated, put
from billing.documents.document import Document, DocumentLine, Kind, NoElectronicInvoice, Party
from billing.documents.lines import title
from billing.rating.exact import plain, times
from billing.rating.lines import LineType
from billing.rating.rounding import rounded

PROFILE = "urn:cen.eu:en16931:2017"
TYPE_CODES = {Kind.INVOICE: "380", Kind.TOP_UP: "380", Kind.CREDIT_NOTE: "381"}  # UNTDID 1001
ALLOWANCES = {
    LineType.DISCOUNT: "95",
    LineType.SERVICE_CREDIT: "100",
    LineType.CREDIT: "100",
}  # UNTDID 5189: discount, special rebate
UNITS = {
    "hours": "HUR",
    "gpu_hours": "HUR",
    "seconds": "SEC",
    "gpu_seconds": "SEC",
    "minutes": "MIN",
    "days": "DAY",
}  # UNECE 20
ONE = "C62"
SEPA_TRANSFER, TRANSFER = "58", "30"  # UNTDID 4461
EXEMPTION_CODES = {"AE": "VATEX-EU-AE", "G": "VATEX-EU-G", "O": "VATEX-EU-O"}
EXEMPTION_TEXTS = {
    "AE": "Reverse charge",
    "G": "Export outside the EU",
    "O": "Not subject to VAT",
    "E": "Exempt from VAT",
}


def xml(document: Document) -> bytes:
    """UTF-8, the same for the same document. Raises NoElectronicInvoice where something that EN 16931 demands is not known."""
    reasons = einvoice_rules.reasons_against(document)
    if reasons:
        raise NoElectronicInvoice(document.number, reasons)
    root = cii.root()
    context = put(root, "rsm:ExchangedDocumentContext")
    put(put(context, "ram:GuidelineSpecifiedDocumentContextParameter"), "ram:ID", PROFILE)
    _head(put(root, "rsm:ExchangedDocument"), document)
    transaction = put(root, "rsm:SupplyChainTradeTransaction")
    for line in _lines(document):
        _line(put(transaction, "ram:IncludedSupplyChainTradeLineItem"), document, line)
    _agreement(put(transaction, "ram:ApplicableHeaderTradeAgreement"), document)
    _delivery(put(transaction, "ram:ApplicableHeaderTradeDelivery"), document)
    _settlement(put(transaction, "ram:ApplicableHeaderTradeSettlement"), document)
    ElementTree.indent(root)
    written = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n'.encode()


def _head(node: Node, document: Document) -> None:
    put(node, "ram:ID", document.number)
    put(node, "ram:TypeCode", TYPE_CODES[document.kind])
    dated(put(node, "ram:IssueDateTime"), document.issued_on)
    for note in _notes(document):
        put(put(node, "ram:IncludedNote"), "ram:Content", note)


def _notes(document: Document) -> Iterable[str]:
    if document.is_demo:
        yield "Demo data: an example, and no claim for payment."
    if document.reason:
        yield document.reason
    held = document.evidence
    if held is not None and held.usage_root:
        yield f"Usage as of {held.watermark:%Y-%m-%d %H:%M:%S} UTC, seal {held.seal}; digest of its requests: {held.usage_root}"


def _is_allowance(line: DocumentLine, document: Document) -> bool:
    return line.type in ALLOWANCES and line.amount < 0 and document.kind is not Kind.CREDIT_NOTE


def _lines(document: Document) -> list[DocumentLine]:
    """An invoice has at least one line (BR-16): where all that is left are allowances, or nothing, one of zero."""
    found = [line for line in document.lines if not _is_allowance(line, document)]
    if found:
        return found
    nothing = DocumentLine(
        position=1,
        type=LineType.FLAT_FEE,
        start=document.period_start,
        end=document.period_end,
        amount=document.subtotal * 0,
        explanation="No charges in this period",
        tax_rate=document.taxes[0].rate if document.taxes else Decimal(0),
    )
    return [nothing]


def _line(node: Node, document: Document, line: DocumentLine) -> None:
    quantity, price, per, unit = _priced(document, line)
    put(put(node, "ram:AssociatedDocumentLineDocument"), "ram:LineID", str(line.position))
    product = put(node, "ram:SpecifiedTradeProduct")
    put(product, "ram:Name", title(line))  # BT-153
    put(product, "ram:Description", line.explanation)
    net = put(put(node, "ram:SpecifiedLineTradeAgreement"), "ram:NetPriceProductTradePrice")
    put(net, "ram:ChargeAmount", plain(price))  # BT-146
    put(net, "ram:BasisQuantity", str(per), unitCode=unit)
    put(put(node, "ram:SpecifiedLineTradeDelivery"), "ram:BilledQuantity", plain(quantity), unitCode=unit)
    settlement = put(node, "ram:SpecifiedLineTradeSettlement")
    _tax_of(put(settlement, "ram:ApplicableTradeTax"), document, line.tax_rate)
    if _within(document, line):
        _period(settlement, document, line)
    total = put(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    put(total, "ram:LineTotalAmount", amount_text(line.amount))  # BT-131


def _priced(document: Document, line: DocumentLine) -> tuple[Decimal, Decimal, int, str]:
    """Quantity, price, per how many, unit: as they are priced where that gives the line's amount, else one times the amount."""
    unit = UNITS.get(line.unit, ONE)
    billed = line.quantity - line.included
    if not line.billed:
        return line.quantity, Decimal(0), 1, unit
    if line.unit_amount is not None and line.type is LineType.USAGE and document.kind is not Kind.CREDIT_NOTE:
        exact = times(times(billed, line.unit_amount), Decimal(1) / line.per) if _is_power_of_ten(line.per) else None
        if exact is not None and rounded(exact, document.currency) == line.amount:
            return billed, line.unit_amount, line.per, unit
    return Decimal(-1 if line.amount < 0 else 1), abs(line.amount), 1, ONE


def _is_power_of_ten(number: int) -> bool:
    return number > 0 and str(number).rstrip("0") == "1"


def _within(document: Document, line: DocumentLine) -> bool:
    """A line's period lies within the invoice's; that of an adjustment does not, and its text says which it was."""
    return document.period_start <= line.start < line.end <= document.period_end and document.kind is not Kind.TOP_UP


def _period(node: Node, document: Document, of: DocumentLine | Document) -> None:
    start, end = (of.start, of.end) if isinstance(of, DocumentLine) else (of.period_start, of.period_end)
    first, last = document.days(start, end)
    period = put(node, "ram:BillingSpecifiedPeriod")
    dated(put(period, "ram:StartDateTime"), first)
    dated(put(period, "ram:EndDateTime"), last)


def _tax_of(node: Node, document: Document, rate: Decimal) -> None:
    put(node, "ram:TypeCode", "VAT")
    category = category_of(document, rate)
    put(node, "ram:CategoryCode", category)
    if category != "O":  # BR-O-05: it has no rate
        put(node, "ram:RateApplicablePercent", plain(rate * 100))


def category_of(document: Document, rate: Decimal) -> str:
    """The invoice's category says why a rate is zero; a rate above zero is standard rated."""
    if rate > 0:
        return "S"
    return "Z" if document.tax_category == "S" else document.tax_category


def _agreement(node: Node, document: Document) -> None:
    put(node, "ram:BuyerReference", document.buyer.reference)
    _party(put(node, "ram:SellerTradeParty"), document, document.seller, is_seller=True)
    _party(put(node, "ram:BuyerTradeParty"), document, document.buyer, is_seller=False)
    if document.contract:
        put(put(node, "ram:ContractReferencedDocument"), "ram:IssuerAssignedID", document.contract)


def _party(node: Node, document: Document, party: Party, *, is_seller: bool) -> None:
    identifier, scheme = einvoice_rules.tax_registration(party, document.tax_category)
    if is_seller and not party.registration and scheme != "VA":
        put(node, "ram:ID", party.tax_id)  # BR-CO-26: a seller is known by one identifier at least
    put(node, "ram:Name", party.name)
    if is_seller and party.registration:
        put(put(node, "ram:SpecifiedLegalOrganization"), "ram:ID", party.registration)
    address = put(node, "ram:PostalTradeAddress")
    for name, value in (
        ("PostcodeCode", party.postal_code),
        ("LineOne", party.address_line1),
        ("LineTwo", party.address_line2),
        ("CityName", party.city),
        ("CountryID", party.country),
        ("CountrySubDivisionName", party.state),
    ):
        put(address, f"ram:{name}", value)
    if party.email:
        put(put(node, "ram:URIUniversalCommunication"), "ram:URIID", party.email, schemeID="EM")
    if identifier and (is_seller or scheme == "VA"):
        put(put(node, "ram:SpecifiedTaxRegistration"), "ram:ID", identifier, schemeID=scheme)


def _delivery(node: Node, document: Document) -> None:
    """BT-72: what was used in a period is delivered with its last day."""
    _, last = document.days(document.period_start, document.period_end)
    delivered = document.issued_on if document.kind is Kind.TOP_UP else last
    dated(put(put(node, "ram:ActualDeliverySupplyChainEvent"), "ram:OccurrenceDateTime"), delivered)


def _settlement(node: Node, document: Document) -> None:
    put(node, "ram:PaymentReference", document.number)
    put(node, "ram:InvoiceCurrencyCode", document.currency)
    if document.seller.iban and document.kind is not Kind.CREDIT_NOTE and not document.is_collected:
        _account(put(node, "ram:SpecifiedTradeSettlementPaymentMeans"), document)
    for rate, base, tax in _breakdown(document):
        _tax(put(node, "ram:ApplicableTradeTax"), document, rate, base, tax)
    if document.kind is not Kind.TOP_UP:
        _period(node, document, document)
    for line in document.lines:
        if _is_allowance(line, document):
            _allowance(put(node, "ram:SpecifiedTradeAllowanceCharge"), document, line)
    if document.due_on is not None:
        terms = put(node, "ram:SpecifiedTradePaymentTerms")
        dated(put(terms, "ram:DueDateDateTime"), document.due_on)
    _sums(put(node, "ram:SpecifiedTradeSettlementHeaderMonetarySummation"), document)
    if document.corrects and document.corrects_issued_on is not None:
        preceding = put(node, "ram:InvoiceReferencedDocument")
        put(preceding, "ram:IssuerAssignedID", document.corrects)
        cii.formatted_date(put(preceding, "ram:FormattedIssueDateTime"), document.corrects_issued_on)


def _account(node: Node, document: Document) -> None:
    put(node, "ram:TypeCode", SEPA_TRANSFER if document.currency == "EUR" else TRANSFER)
    account = put(node, "ram:PayeePartyCreditorFinancialAccount")
    put(account, "ram:IBANID", document.seller.iban.replace(" ", ""))
    put(account, "ram:AccountName", document.seller.name)
    if document.seller.bic:
        put(put(node, "ram:PayeeSpecifiedCreditorFinancialInstitution"), "ram:BICID", document.seller.bic)


def _breakdown(document: Document) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Rate, base and tax: at least one (BR-CO-18)."""
    zero = document.subtotal * 0
    return [(tax.rate, tax.base, tax.amount) for tax in document.taxes] or [(Decimal(0), zero, zero)]


def _tax(node: Node, document: Document, rate: Decimal, base: Decimal, tax: Decimal) -> None:
    category = category_of(document, rate)
    put(node, "ram:CalculatedAmount", amount_text(tax))
    put(node, "ram:TypeCode", "VAT")
    if category in EXEMPTION_TEXTS:
        put(node, "ram:ExemptionReason", document.tax_note or EXEMPTION_TEXTS[category])
    put(node, "ram:BasisAmount", amount_text(base))
    put(node, "ram:CategoryCode", category)
    put(node, "ram:ExemptionReasonCode", EXEMPTION_CODES.get(category, ""))
    if category != "O":
        put(node, "ram:RateApplicablePercent", plain(rate * 100))


def _allowance(node: Node, document: Document, line: DocumentLine) -> None:
    put(put(node, "ram:ChargeIndicator"), "udt:Indicator", "false")
    put(node, "ram:ActualAmount", amount_text(-line.amount))
    put(node, "ram:ReasonCode", ALLOWANCES[line.type])
    put(node, "ram:Reason", line.explanation or texts.words(line.type))
    category = put(node, "ram:CategoryTradeTax")
    _tax_of(category, document, line.tax_rate)


def _sums(node: Node, document: Document) -> None:
    zero = document.subtotal * 0
    allowances = -sum((line.amount for line in document.lines if _is_allowance(line, document)), zero)
    put(node, "ram:LineTotalAmount", amount_text(document.subtotal + allowances))  # BT-106
    put(node, "ram:AllowanceTotalAmount", amount_text(allowances))  # BT-107
    put(node, "ram:TaxBasisTotalAmount", amount_text(document.subtotal))  # BT-109
    put(node, "ram:TaxTotalAmount", amount_text(document.tax), currencyID=document.currency)  # BT-110
    put(node, "ram:GrandTotalAmount", amount_text(document.total))  # BT-112
    put(node, "ram:TotalPrepaidAmount", amount_text(document.credits_applied))  # BT-113
    put(node, "ram:DuePayableAmount", amount_text(document.amount_due))  # BT-115
