"""Words in addresses that are names from elsewhere: a node, an engine or a GPU may be called anything."""

import re
from urllib.parse import unquote

ESCAPE = "~"
DOTS = re.compile(r"\.{1,2}")


class NameConverter:
    """One word of a path for any name that is not empty. A slash would end it, and a browser takes dots alone for a way up."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return unquote(re.sub(f"{ESCAPE}([0-9A-F]{{2}})", r"%\1", value.replace("%", "%25")))

    def to_url(self, value: str) -> str:
        escaped = value.replace(ESCAPE, "~7E").replace("/", "~2F").replace("\\", "~5C")
        return escaped.replace(".", "~2E") if DOTS.fullmatch(escaped) else escaped
