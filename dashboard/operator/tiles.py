"""What a tile on top of a page is, and how it writes large numbers."""

from dataclasses import dataclass

from dashboard import formats

ERRORS_ARE_BAD_FROM = 0.05


@dataclass(frozen=True)
class Tile:
    """`value` alone is large; `unit` and `note` say what it is. `tone` is '' or 'bad'. `link`: the page that shows more, '' for none."""

    key: str
    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    link: str = ""
    change: str = ""  # against what it is compared with


def compact(tokens: int) -> tuple[str, str]:
    """Four digits and a unit: the exact number is on the usage page."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if tokens >= size:
            return f"{tokens / size:.2f}", unit
    return formats.whole(tokens), ""
