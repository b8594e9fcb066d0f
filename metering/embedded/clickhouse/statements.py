"""What a statement is and how the node has to run it."""

from dataclasses import dataclass
from enum import Enum

from metering.embedded.clickhouse.errors import Code, NodeError
from metering.embedded.clickhouse.tokens import Kind, Token, tokenize


class Way(Enum):
    STREAM = "a SELECT: its blocks are sent one by one"
    WHOLE = "anything else: run to its end, then answered"
    TAKE_BLOCKS = "an INSERT whose rows the client sends as blocks"


@dataclass(frozen=True)
class Insert:
    """The target of an INSERT that awaits blocks. `columns` is None where the client gave no list."""

    table: str  # as written, quoted parts included
    columns: tuple[str, ...] | None
    column_list: str  # as written, without parentheses; may hold `* EXCEPT(...)`
    head: str  # the statement up to where VALUES or FORMAT stood


@dataclass(frozen=True)
class Statement:
    sql: str  # as the engine gets it
    tokens: tuple[Token, ...]
    way: Way
    insert: Insert | None = None

    @property
    def verb(self) -> str:
        first = next((token for token in self.tokens if not token.is_mark("(")), None)
        return first.text.upper() if first is not None and first.kind is Kind.WORD else ""


def parse(sql: str) -> Statement:
    """Cut, classify and trim one statement. NodeError 62 for none, for several, or for text that cannot be cut."""
    tokens = tokenize(sql)
    while tokens and tokens[-1].is_mark(";"):
        tokens.pop()
    if not tokens:
        raise NodeError(Code.SYNTAX_ERROR, "Syntax error: failed at position 1: Empty query")
    if any(token.is_mark(";") for token in tokens):
        raise NodeError(Code.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    statement = Statement(sql[: tokens[-1].end], tuple(tokens), Way.WHOLE)
    if _inserts(tokens):
        return _insert(statement)
    if statement.verb in {"SELECT", "WITH", "FROM"}:
        return _without_format(Statement(statement.sql, statement.tokens, Way.STREAM))
    return _without_format(statement)


def _inserts(tokens: list[Token]) -> bool:
    if tokens[0].is_word("INSERT"):
        return True
    return tokens[0].is_word("WITH") and any(
        token.is_word("INSERT") for token, depth in with_depth(tokens) if depth == 0
    )


def with_depth(tokens: list[Token] | tuple[Token, ...]) -> list[tuple[Token, int]]:
    """Each token with the number of parentheses open around it."""
    found, depth = [], 0
    for token in tokens:
        depth -= token.is_mark(")")
        found.append((token, depth))
        depth += token.is_mark("(")
    return found


def _without_format(statement: Statement) -> Statement:
    """`... FORMAT Name` says how a client shows a result; on the wire it is always Native."""
    tokens = statement.tokens
    for index in range(len(tokens) - 2, 0, -1):
        after = tokens[index + 2] if index + 2 < len(tokens) else None
        ends = after is None or after.is_word("SETTINGS")
        if tokens[index].is_word("FORMAT") and tokens[index + 1].kind is Kind.WORD and ends and _at_top(tokens, index):
            sql = statement.sql[: tokens[index].start] + statement.sql[tokens[index + 1].end :]
            return Statement(sql, (*tokens[:index], *tokens[index + 2 :]), statement.way)
    return statement


def _at_top(tokens: tuple[Token, ...], index: int) -> bool:
    return with_depth(tokens[: index + 1])[-1][1] == 0


def _insert(statement: Statement) -> Statement:
    """An INSERT that ends at VALUES, at FORMAT Name or at its column list awaits blocks; any other carries its rows."""
    tokens = statement.tokens
    cut = _data_clause(tokens)
    if cut is None:
        return statement
    head = statement.sql[: tokens[cut - 1].end]
    return Statement(statement.sql, tokens, Way.TAKE_BLOCKS, _target(head, tokens[:cut]))


def _data_clause(tokens: tuple[Token, ...]) -> int | None:
    """How many tokens precede the place where data would begin, if the statement ends there."""
    if tokens[0].is_word("WITH"):
        return None
    if tokens[-1].is_word("VALUES"):
        return len(tokens) - 1
    if len(tokens) > 2 and tokens[-2].is_word("FORMAT") and not _selects(tokens):
        return len(tokens) - 2
    return None if _selects(tokens) or _carries_rows(tokens) else len(tokens)


def _selects(tokens: tuple[Token, ...]) -> bool:
    return any(token.is_word("SELECT", "WITH", "WATCH") for token in _after_target(tokens))


def _carries_rows(tokens: tuple[Token, ...]) -> bool:
    return any(token.is_word("VALUES", "FORMAT") for token in _after_target(tokens))


def _after_target(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """What follows the table's name and the column list, whose names may well be `values` or `format`."""
    index = _after_name(tokens)
    if index < len(tokens) and tokens[index].is_mark("(") and not _opens_select(tokens, index):
        return tokens[_closing(tokens, index) + 1 :]
    return tokens[index:]


def _opens_select(tokens: tuple[Token, ...], index: int) -> bool:
    return index + 1 < len(tokens) and tokens[index + 1].is_word("SELECT", "WITH")


def _name_start(tokens: tuple[Token, ...]) -> int:
    index = 1 + (len(tokens) > 1 and tokens[1].is_word("INTO"))
    return index + (len(tokens) > index + 1 and tokens[index].is_word("TABLE") and not tokens[index + 1].is_mark("("))


def _after_name(tokens: tuple[Token, ...]) -> int:
    index = _name_start(tokens) + 1
    while index + 1 < len(tokens) and tokens[index].is_mark("."):
        index += 2
    return index


def _closing(tokens: tuple[Token, ...], opening: int) -> int:
    depth = 0
    for index in range(opening, len(tokens)):
        depth += tokens[index].is_mark("(") - tokens[index].is_mark(")")
        if depth == 0:
            return index
    raise NodeError(Code.SYNTAX_ERROR, "Syntax error: unmatched parentheses")


def _target(head: str, tokens: tuple[Token, ...]) -> Insert:
    start, after = _name_start(tokens), _after_name(tokens)
    if start >= len(tokens) or not tokens[start].identifier:
        raise NodeError(Code.SYNTAX_ERROR, f"Syntax error: failed at the table of: {head[:200]}")
    table = head[tokens[start].start : tokens[after - 1].end]
    if after >= len(tokens) or not tokens[after].is_mark("("):
        return Insert(table, None, "*", head)
    closing = _closing(tokens, after)
    listed = head[tokens[after].end : tokens[closing].start]
    return Insert(table, _plain_names(tokens[after + 1 : closing]), listed, head)


def _plain_names(tokens: tuple[Token, ...]) -> tuple[str, ...] | None:
    """The names of a list such as (a, `b`, n.x); None if it holds more than names."""
    names, current = [], ""
    for token in tokens:
        if token.is_mark(","):
            names.append(current)
            current = ""
        elif token.identifier or token.is_mark("."):
            current += _unescaped(token.text)
        else:
            return None
    return (*names, current) if current else None


def _unescaped(text: str) -> str:
    return text.replace("``", "`").replace('""', '"').replace("\\`", "`").replace("\\\\", "\\")
