"""SQL cut into tokens as ClickHouse's lexer cuts it, for checks that must not be fooled by comments and strings.

Where the two lexers could ever disagree this one refuses: characters outside ASCII and control characters are allowed inside
closed strings, quoted names and comments only, and a quoted name holds no backslash.
"""

import re
from dataclasses import dataclass
from enum import Enum

from metering.embedded.clickhouse.errors import Code, NodeError


class Kind(Enum):
    WORD = "word"  # a bare identifier, keyword or number
    NAME = "name"  # `quoted` or "quoted"
    STRING = "string"
    MARK = "mark"  # one punctuation character


@dataclass(frozen=True)
class Token:
    kind: Kind
    text: str  # of a NAME or a STRING: the content, escapes as written
    start: int  # characters
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind is Kind.WORD and self.text.upper() in words

    def is_mark(self, mark: str) -> bool:
        return self.kind is Kind.MARK and self.text == mark

    @property
    def identifier(self) -> str:
        """What the token names, if it can name anything, else the empty string."""
        return self.text if self.kind in (Kind.WORD, Kind.NAME) else ""


_PATTERN = re.compile(
    r"""
    (?P<blank>[ \t\n\r\f\v]+)
  | (?P<comment>--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<backtick>`(?:[^`\\]|\\.|``)*`)
  | (?P<double>"(?:[^"\\]|\\.|"")*")
  | (?P<heredoc>\$(?P<tag>[A-Za-z0-9_]*)\$.*?\$(?P=tag)\$)
  | (?P<word>[A-Za-z0-9_][A-Za-z0-9_]*)
  | (?P<mark>[][(){}.,;:=<>!+\-*/%|&^?@~])
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {"string": Kind.STRING, "backtick": Kind.NAME, "double": Kind.NAME, "word": Kind.WORD, "mark": Kind.MARK}


def tokenize(sql: str) -> list[Token]:
    """The tokens of a statement, comments dropped. Raises NodeError 62 for text that cannot be cut with certainty."""
    found: list[Token] = []
    position = 0
    while position < len(sql):
        match = _PATTERN.match(sql, position)
        if match is None or _is_glued_heredoc(sql, match) or _has_escaped_name(match):
            raise _syntax_error(sql, position)
        if token := _token(match):
            found.append(token)
        position = match.end()
    return found


def _token(match: re.Match[str]) -> Token | None:
    group = match.lastgroup or ""
    if group in {"blank", "comment"}:
        return None
    if match.group("heredoc") is not None:
        margin = len(match.group("tag")) + 2
        return Token(Kind.STRING, match.group()[margin:-margin], match.start(), match.end())
    quoted = group in {"string", "backtick", "double"}
    text = match.group()[1:-1] if quoted else match.group()
    return Token(_KINDS[group], text, match.start(), match.end())


def _is_glued_heredoc(sql: str, match: re.Match[str]) -> bool:
    """ClickHouse lets a word run on through `$`: in `a$b$` there is no heredoc, so none is read there."""
    start = match.start()
    return match.group("heredoc") is not None and start > 0 and (sql[start - 1].isalnum() or sql[start - 1] in "_$")


def _has_escaped_name(match: re.Match[str]) -> bool:
    """An escape can spell a refused name another way: `fi\\x6ce` is the function file."""
    return match.lastgroup in {"backtick", "double"} and "\\" in match.group()


def _syntax_error(sql: str, position: int) -> NodeError:
    rest = sql[position : position + 60].encode("utf-8", "backslashreplace").decode()
    return NodeError(Code.SYNTAX_ERROR, f"Syntax error: failed at position {position + 1}: {rest}")
