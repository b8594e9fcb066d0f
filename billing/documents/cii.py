"""Writing UN/CEFACT Cross Industry Invoice: names, dates and amounts. The order of elements is the caller's, as the schema has it."""

from datetime import date
from decimal import Decimal
from xml.etree import ElementTree

from billing.documents.texts import printable

Node = ElementTree.Element
NAMESPACES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
for _prefix, _uri in NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)
DAY = "102"  # UNTDID 2379: CCYYMMDD


def root() -> Node:
    return ElementTree.Element(_name("rsm:CrossIndustryInvoice"))


def put(parent: Node, name: str, text: str | None = None, **attributes: str) -> Node:
    """A new last child, `prefix:Name`. With a text of '' there is none: an empty element would be a value.

    Texts are freed of control characters, for which XML has no place.
    """
    made = ElementTree.Element(_name(name), attributes)
    made.text = text if text is None else printable(text)
    if made.text != "":
        parent.append(made)
    return made


def dated(parent: Node, day: date) -> None:
    put(parent, "udt:DateTimeString", f"{day:%Y%m%d}", format=DAY)


def formatted_date(parent: Node, day: date) -> None:
    put(parent, "qdt:DateTimeString", f"{day:%Y%m%d}", format=DAY)


def amount_text(amount: Decimal) -> str:
    """With the digits that it carries."""
    return f"{amount:f}"


def _name(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"
