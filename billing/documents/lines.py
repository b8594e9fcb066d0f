"""What a line is about, in words: for the page and for the XML."""

from billing.documents import texts
from billing.documents.document import DocumentLine
from billing.rating.lines import LineType
from billing.rating.prices import METER


def details(line: DocumentLine) -> list[str]:
    """Kind, tier and the rest that decided its price."""
    context = f"over {line.context_over:,} input tokens" if line.context_over else ""
    return [
        part
        for part in (texts.words(line.kind.removeprefix(METER)), line.tier, line.operation, line.region, context)
        if part
    ]


def title(line: DocumentLine) -> str:
    """`llama-3.3-70b, Input, standard`; for what is not usage, what kind of line it is."""
    if line.type in {LineType.USAGE, LineType.ADJUSTMENT} and (line.model or line.kind):
        named = ", ".join(part for part in (line.model, *details(line)) if part)
        return texts.printable(named) or texts.words(line.type)
    return texts.words(line.type)
