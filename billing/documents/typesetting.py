"""PDF by typst: PDF/A-3 with every font embedded, and the same bytes for the same document."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Final

import typst

from billing.documents import payment_code, view
from billing.documents.document import Document
from billing.documents.fonts import fonts
from billing.documents.hybrid import declared_factur_x

TEMPLATE = files("billing.documents") / "templates" / "document.typ"
MARK = files("billing.documents") / "templates" / "mark.svg"
STANDARD: Final = "a-3b"
LARGEST_LOGO = 500_000
UNSHOWABLE = re.compile(r'the text `"(?P<text>.*?)"` could not be displayed')
ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
SUBSTITUTE = "?"
MOST_SUBSTITUTED = 200  # characters that no font has, before a document is given up


def render(document: Document, xml: bytes = b"") -> bytes:
    """`xml`: an EN 16931 invoice that goes into the file, which is a Factur-X invoice then."""
    stamp = int(document.made_at.timestamp())

    def typeset(inputs: dict[str, str]) -> bytes:
        return typst.compile(
            TEMPLATE.read_bytes(),
            font_paths=fonts(),
            ignore_system_fonts=True,
            sys_inputs=inputs,
            format="pdf",
            pdf_standards=STANDARD,
            timestamp=stamp,
        )

    made = _with_substitutes(typeset, _inputs(document, xml))
    return declared_factur_x(made) if xml else made


def pictures(document: Document, *, ppi: int = 110) -> list[bytes]:
    """The pages as PNG, for people who look at the layout."""
    made: bytes | list[bytes] = typst.compile(
        TEMPLATE.read_bytes(),
        font_paths=fonts(),
        ignore_system_fonts=True,
        sys_inputs=_inputs(document, b""),
        format="png",
        ppi=ppi,
    )
    return [made] if isinstance(made, bytes) else made


def _inputs(document: Document, xml: bytes) -> dict[str, str]:
    return {
        "document": json.dumps(view.of(document), ensure_ascii=False),
        "logo": _logo(document.seller.logo),
        "code": payment_code.svg(document),
        "xml": xml.decode(),
    }


def _with_substitutes(typeset: Callable[[dict[str, str]], bytes], inputs: dict[str, str]) -> bytes:
    """PDF/A has no place for a character that no font draws: such a one is set as a question mark."""
    for _ in range(MOST_SUBSTITUTED):
        try:
            return typeset(inputs)
        except typst.TypstError as error:
            found = UNSHOWABLE.search(error.message)
            if found is None:
                raise
            inputs = inputs | {"document": _without(inputs["document"], found["text"])}
    raise ValueError("too many characters that no font draws")


def _without(text: str, unshowable: str) -> str:
    """`unshowable` as the message quotes it: characters, or `\\u{7}` for such that a terminal would not show."""
    characters = ESCAPED.sub(lambda found: chr(int(found[1], 16)), unshowable)
    return text.translate({ord(char): SUBSTITUTE for char in characters if char not in '"\\{}[]:,'})


def _logo(svg: str) -> str:
    return svg if svg and _is_picture(svg) else MARK.read_text()


@lru_cache(maxsize=32)
def _is_picture(svg: str) -> bool:
    """Whether typst draws it. A logo that it does not draw keeps no invoice from being printed: the project's mark stands in."""
    if len(svg) > LARGEST_LOGO:
        return False
    try:
        typst.compile(
            b'#image(bytes(sys.inputs.logo), format: "svg", height: 13mm, alt: "")',
            font_paths=fonts(),
            ignore_system_fonts=True,
            sys_inputs={"logo": svg},
            format="pdf",
            pdf_standards=STANDARD,
            timestamp=0,
        )
    except typst.TypstError:
        return False
    return True
