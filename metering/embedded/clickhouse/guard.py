"""What a client may not do: reach files outside the spool, other hosts, programs, or the node's own footing.

The engine runs inside this process with this user's rights and has no access control of its own, so every statement passes here
first. Lists of what is allowed are ours; everything else that the engine says it knows is refused, so that a newer engine's
new table functions and engines are refused until somebody has looked at them. All refusals carry code 497, of settings 452.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from metering.embedded.clickhouse.errors import Code, NodeError
from metering.embedded.clickhouse.spool_paths import SpoolPaths
from metering.embedded.clickhouse.statements import Statement, with_depth
from metering.embedded.clickhouse.tokens import Kind, Token


def _words(text: str) -> frozenset[str]:
    """ClickHouse's names are compared without regard to case here, though it often regards it: the stricter reading."""
    return frozenset(text.casefold().split())


_TABLE_FUNCTIONS = _words(
    "SQLStandardValues format fuzzJSON generateRandom generateSeries generate_series input loop merge mergeTreeIndex "
    "mergeTreeProjection mergeTreeCodecBlockCounts null numbers numbers_mt primes values view viewExplain viewIfPermitted "
    "zeros zeros_mt file"
)
_ENGINES = _words(
    "AggregatingMergeTree Buffer CoalescingMergeTree CollapsingMergeTree GenerateRandom Join Log MaterializedView Memory Merge "
    "MergeTree Null ReplacingMergeTree Set StripeLog SummingMergeTree TinyLog VersionedCollapsingMergeTree View "
    "Atomic"
)
# Ordinary functions and clauses that reach outside, which the engine does not list as table functions.
_FUNCTIONS = frozenset(
    {"disk", "hascolumnintable", "catboostevaluate", "eval", "addresstoline", "demangle", "addresstosymbol"}
)
# They call a model over HTTP.
_MODEL_FUNCTIONS = frozenset(
    f"ai{verb}" for verb in ("classify", "embed", "extract", "filter", "generate", "redact", "similarity", "translate")
)
_VERBS = _words(
    "SELECT WITH FROM INSERT CREATE DROP TRUNCATE ALTER RENAME EXCHANGE DETACH ATTACH REPLACE OPTIMIZE SHOW DESCRIBE DESC EXISTS "
    "EXPLAIN USE SET KILL DELETE UPDATE CHECK UNDROP SYSTEM"
)
_KNOWN_REFUSED_VERBS = _words(
    "BACKUP RESTORE GRANT REVOKE EXECUTE IMPORT EXPORT INSTALL LOAD WATCH MOVE BEGIN COMMIT ROLLBACK PARALLEL COPY"
)
_CREATED = frozenset({"TABLE", "DATABASE", "VIEW", "MATERIALIZED", "TEMPORARY"})
_SYSTEM = frozenset(
    {"MERGES", "TTL", "FLUSH", "SYNC", "MUTATIONS", "MARK", "UNCOMPRESSED", "QUERY", "CLEAR", "STOP", "START", "DROP"}
)
_FIXED_DATABASES = frozenset({"default", "system", "information_schema"})
# They switch the dialect (and so the lexer), hide SQL in a string, name files, or carry the node's mark of a running query.
_SETTINGS = frozenset(
    {
        "dialect", "polyglot_dialect", "additional_table_filters", "additional_result_filter", "parallel_replicas_custom_key",
        "query_cache_tag", "implicit_select", "implicit_table_at_top_level", "format_schema", "format_schema_source",
        "format_schema_message_name", "allow_introspection_functions", "extremes", "workload",
    }
)  # fmt: skip
_STICKY_SETTINGS = frozenset({"readonly", "allow_ddl"})


@dataclass(frozen=True)
class Guard:
    """`functions` and `engines` are those of the engine that nobody has allowed, casefolded."""

    functions: frozenset[str]
    engines: frozenset[str]
    spool: SpoolPaths

    @classmethod
    def against(cls, functions: Iterable[str], engines: Iterable[str], spool: SpoolPaths) -> "Guard":
        known = frozenset(name.casefold() for name in functions), frozenset(name.casefold() for name in engines)
        return cls((known[0] - _TABLE_FUNCTIONS) | _FUNCTIONS, known[1] - _ENGINES, spool)

    def check(self, statement: Statement) -> None:
        """Raises NodeError if the statement may not run here."""
        _check_verb(statement)
        tokens = statement.tokens
        names_settings = statement.verb == "SET"
        for index, token in enumerate(tokens):
            if names_settings:
                check_setting(token.identifier)
            names_settings = names_settings or token.is_word("SETTINGS")
            if index + 1 < len(tokens):
                self._check_pair(token, tokens[index + 1], tokens, index)

    def _check_pair(self, token: Token, following: Token, tokens: tuple[Token, ...], index: int) -> None:
        if following.is_mark("(") and token.identifier:
            self._check_call(token.identifier.casefold(), tokens, index)
        if token.is_word("ENGINE"):
            self._check_engine(tokens[index + 2] if following.is_mark("=") and index + 2 < len(tokens) else following)
        if (token.is_word("INTO") and following.is_word("OUTFILE")) or (
            token.is_word("FROM") and following.is_word("INFILE")
        ):
            raise _refused(f"{token.text} {following.text}")
        if token.is_word("INTO", "TABLE") and following.is_word("FUNCTION") and statement_inserts(tokens):
            raise _refused("INSERT INTO FUNCTION")
        if token.is_word("WITH") and following.is_word("TOTALS"):
            raise NodeError(Code.NOT_IMPLEMENTED, "the embedded ClickHouse does not send totals: leave out WITH TOTALS")

    def _check_call(self, name: str, tokens: tuple[Token, ...], index: int) -> None:
        if name in self.functions or name in _MODEL_FUNCTIONS:
            raise _refused(f"the function {tokens[index].text}")
        if name == "file":
            self._check_file(tokens, index)
        if name == "input":
            raise NodeError(
                Code.NOT_IMPLEMENTED, "INSERT ... SELECT FROM input() is not supported by the embedded ClickHouse"
            )

    def _check_file(self, tokens: tuple[Token, ...], index: int) -> None:
        argument = tokens[index + 2] if index + 3 < len(tokens) else None
        alone = argument is not None and (tokens[index + 3].is_mark(",") or tokens[index + 3].is_mark(")"))
        if argument is None or argument.kind is not Kind.STRING or not alone:
            raise _refused("file() with anything but a literal path")
        self.spool.check(argument.text)

    def _check_engine(self, named: Token) -> None:
        if named.identifier.casefold() in self.engines:
            raise _refused(f"the engine {named.text}")


def statement_inserts(tokens: tuple[Token, ...]) -> bool:
    return any(token.is_word("INSERT") for token in tokens[:1]) or any(
        token.is_word("INSERT") for token, depth in with_depth(tokens) if depth == 0
    )


def check_setting(name: str) -> None:
    """Raises NodeError 452 for a setting that a client may not change."""
    if name.casefold() in _SETTINGS:
        raise NodeError(
            Code.SETTING_CONSTRAINT, f"Setting {name} should not be changed: the embedded ClickHouse keeps it fixed"
        )


def _check_verb(statement: Statement) -> None:
    verb, tokens = statement.verb, statement.tokens
    if verb.casefold() in _KNOWN_REFUSED_VERBS:
        raise _refused(verb)
    if verb.casefold() not in _VERBS:
        raise NodeError(
            Code.SYNTAX_ERROR, f"Syntax error: failed at position 1 ({tokens[0].text}): {statement.sql[:100]}"
        )
    words = [token.text.upper() for token in tokens[:8] if token.kind is not Kind.MARK]
    if verb == "CREATE" and not _CREATED & set(_after_or_replace(words)[:1]):
        raise _refused(" ".join(words[:3]))
    if verb in {"ATTACH", "REPLACE"} and (
        len(words) < 2 or words[1] not in _CREATED | {"OR"} or "FROM" in _bare(tokens[:8])
    ):
        raise _refused(" ".join(words[:3]))
    if verb == "SYSTEM" and not (
        len(words) > 2 and words[1] in _SYSTEM and words[2] in _SYSTEM | {"LOGS", "CACHE", "VIEW"}
    ):
        raise _refused(" ".join(words[:3]))
    if verb in {"DROP", "DETACH", "RENAME", "TRUNCATE", "ATTACH"} and "DATABASE" in words[1:2]:
        _check_database(tokens)
    if verb == "SET" and any(token.identifier.casefold() in _STICKY_SETTINGS for token in tokens):
        raise NodeError(
            Code.SETTING_CONSTRAINT, "readonly and allow_ddl are taken with a query, not for a whole session"
        )


def _after_or_replace(words: list[str]) -> list[str]:
    return words[3:] if words[1:3] == ["OR", "REPLACE"] else words[1:]


def _bare(tokens: tuple[Token, ...]) -> set[str]:
    return {token.text.upper() for token in tokens if token.kind is Kind.WORD}


def _check_database(tokens: tuple[Token, ...]) -> None:
    if any(token.identifier.casefold() in _FIXED_DATABASES for token in tokens):
        raise _refused("changing a database of the engine itself")


def _refused(what: str) -> NodeError:
    return NodeError(Code.ACCESS_DENIED, f"Not enough privileges: {what} is refused by the embedded ClickHouse")
