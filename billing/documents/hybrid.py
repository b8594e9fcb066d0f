"""Declares a PDF/A-3 with an embedded invoice as Factur-X: the properties in its XMP metadata, with their PDF/A extension schema.

typst embeds the XML, but knows no metadata of others. The metadata is written anew at the end of the file (an incremental update,
ISO 32000-1 section 7.5.6): nothing that typst wrote moves, and no clock or random number gets in.
"""

import re

from facturx.facturx import FACTURX_FILENAME, FACTURX_LEVEL2xmp, generate_xmp_object
from lxml import etree

URN = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
LEVEL = "en16931"
NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "pdfaExtension": "http://www.aiim.org/pdfa/ns/extension/",
    "fx": URN,
}
METADATA = re.compile(
    rb"(?P<head>(?P<number>\d+) 0 obj\n<<(?P<entries>[^>]*/Type\s*/Metadata[^>]*)>>\s*stream\n)(?P<xmp>.*?)\nendstream",
    re.S,
)
TRAILER = re.compile(rb"trailer\s*<<(?P<entries>.*?)>>\s*startxref\s*(?P<start>\d+)\s*%%EOF\s*\Z", re.S)
LENGTH = re.compile(rb"/Length \d+")


class NotAsExpected(ValueError):
    """The file is not as typst writes it."""


def declared_factur_x(pdf: bytes) -> bytes:
    """`pdf` as typst writes a PDF/A-3 with `factur-x.xml` attached. Raises NotAsExpected for another file."""
    found, trailer = METADATA.search(pdf), TRAILER.search(pdf)
    if found is None or trailer is None:
        raise NotAsExpected("no metadata, or no trailer, where typst writes them")
    xmp = _with_properties(found["xmp"])
    entries = LENGTH.sub(b"/Length %d" % len(xmp), found["entries"])
    start = len(pdf) + 1
    added = b"%s 0 obj\n<<%s>>\nstream\n%s\nendstream\nendobj\n" % (found["number"], entries, xmp)
    table = b"xref\n%s 1\n%010d 00000 n\r\n" % (found["number"], start)
    end = b"trailer\n<<%s/Prev %s>>\nstartxref\n%d\n%%%%EOF" % (
        trailer["entries"],
        trailer["start"],
        start + len(added),
    )
    return b"".join((pdf, b"\n", added, table, end))


def _with_properties(xmp: bytes) -> bytes:
    """The properties in a description of their own, their schema in the bag of those that typst declares."""
    made = generate_xmp_object(
        {
            "pdfa3_flavor": "B",
            **dict.fromkeys(("title", "author", "subject", "producer", "creator_tool", "timestamp"), ""),
            "urn": URN,
            "documenttype": "INVOICE",
            "xml_filename": FACTURX_FILENAME,
            "version": "1.0",
            "xmp_level": FACTURX_LEVEL2xmp[LEVEL],
        }
    )
    schema = made.find(".//pdfaExtension:schemas/rdf:Bag/rdf:li", NAMES)
    properties = made.find(".//fx:DocumentType", NAMES).getparent()
    properties.set(f"{{{NAMES['rdf']}}}about", "")
    put = _before(xmp, b"</rdf:Bag></pdfaExtension:schemas>", _text(schema))
    return _before(put, b"</rdf:RDF>", _text(properties))


def _text(element: etree._Element) -> bytes:
    etree.cleanup_namespaces(element)
    return bytes(etree.tostring(element, with_tail=False))


def _before(xmp: bytes, mark: bytes, added: bytes) -> bytes:
    if xmp.count(mark) != 1:
        raise NotAsExpected(f"{mark.decode()} is not there exactly once")
    return xmp.replace(mark, added + mark)
