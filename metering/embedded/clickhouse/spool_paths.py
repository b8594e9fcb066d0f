"""Which paths `file()` may read: those that lie in the spool once `..`, symbolic links and lists are resolved."""

import re
from dataclasses import dataclass
from pathlib import Path

from metering.embedded.clickhouse.errors import Code, NodeError

MAX_FILES = 10_000
_LIST = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class SpoolPaths:
    root: Path  # resolved

    def check(self, literal: str) -> None:
        """Raises NodeError 497 unless every path that a literal such as `/spool/{a,b}.arrow` names lies in the spool."""
        if "\\" in literal or "''" in literal or "\0" in literal or "::" in literal:
            raise _refused("file() with escapes, or into an archive")
        for path in _expanded(literal):
            self._check_one(path)

    def _check_one(self, path: str) -> None:
        if any(char in path for char in "*?{}[]"):
            raise _refused("file() with patterns other than one list {a,b}")
        if not path.startswith("/"):
            raise _refused("file() with a relative path")
        try:
            resolved = Path(path).resolve()
        except (OSError, RuntimeError):  # a loop of symbolic links
            raise _refused("file() with a path that cannot be resolved") from None
        if not resolved.is_relative_to(self.root):
            raise _refused("file() outside the spool")


def _expanded(literal: str) -> list[str]:
    """`/s/{a,b}.arrow` -> /s/a.arrow, /s/b.arrow. At most one list: more are left in and refused."""
    found = _LIST.search(literal)
    if found is None:
        return [literal]
    items = found.group(1).split(",")
    if ".." in found.group(1) or len(items) > MAX_FILES:  # {1..9} is a range to the engine
        raise _refused(f"file() with a range, or with more than {MAX_FILES} files")
    return [literal[: found.start()] + item + literal[found.end() :] for item in items]


def _refused(what: str) -> NodeError:
    return NodeError(Code.ACCESS_DENIED, f"Not enough privileges: {what} is refused by the embedded ClickHouse")
