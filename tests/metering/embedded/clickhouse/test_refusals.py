"""A client reaches nothing but its tables and the spool: no other file, no other host, no program."""

from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.metering.embedded.clickhouse.node_process import NodeProcess

ACCESS_DENIED, SETTING_CONSTRAINT, UNKNOWN_TABLE, SYNTAX_ERROR = 497, 452, 60, 62

DENIED = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM FILE('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file /* here */ ('/etc/passwd', 'LineAsString')",
    "SELECT * FROM `file`('/etc/passwd', 'LineAsString')",
    "SELECT * FROM \"file\"('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file('etc/passwd', 'LineAsString')",
    "SELECT * FROM file('{spool}/../secret.csv', 'CSV')",
    "SELECT * FROM file('{spool}/{{x,../../secret}}.csv', 'CSV')",
    "SELECT * FROM file('{spool}/link.csv', 'CSV')",
    "SELECT * FROM file('{spool}/folder/secret.csv', 'CSV')",
    "SELECT * FROM file('{spool}/*.csv', 'CSV')",
    "SELECT * FROM file('{spool}/?.csv', 'CSV')",
    "SELECT * FROM file('{spool}/{{1..3}}.csv', 'CSV')",
    "SELECT * FROM file('{spool}/{{a,b}}{{c,d}}.csv', 'CSV')",
    "SELECT * FROM file('\\x2fetc/passwd', 'LineAsString')",
    "SELECT * FROM file(concat('/etc/', 'passwd'), 'LineAsString')",
    "SELECT * FROM file('/etc' || '/passwd', 'LineAsString')",
    "SELECT * FROM file('{spool}/a.zip :: b', 'LineAsString')",
    "SELECT * FROM file($$/etc/passwd$$, 'LineAsString')",
    "SELECT file('/etc/passwd')",
    "SELECT count() FROM (SELECT 1 WHERE 1 IN (SELECT toUInt8(1) FROM file('/etc/passwd', 'LineAsString')))",
    "INSERT INTO FUNCTION file('{spool}/new.csv', 'CSV', 'a UInt8') SELECT 1",
    "INSERT INTO TABLE FUNCTION file('{spool}/new.csv', 'CSV', 'a UInt8') VALUES (1)",
    "INSERT INTO sink VALUES ((SELECT length(c1) FROM url('http://127.0.0.1:1/')))",
    "SELECT 1 INTO OUTFILE '/tmp/out.csv'",
    "INSERT INTO sink FROM INFILE '/etc/passwd' FORMAT LineAsString",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')",
    "SELECT * FROM urlCluster('c', 'http://127.0.0.1:1/', 'CSV')",
    "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM sqlite('/tmp/x.db', 't')",
    "SELECT * FROM executable('x.sh', 'CSV', 'a UInt8')",
    "SELECT * FROM python('x')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM icebergLocal('/etc')",
    "SELECT hasColumnInTable('127.0.0.1:1', 'd', 't', 'c')",
    "SELECT aiGenerate('x')",
    "SELECT AIGenerate('x')",
    "CREATE TABLE leak (a String) ENGINE = File(CSV, '/etc/passwd')",
    "CREATE TABLE leak (a String) ENGINE File(CSV)",
    "CREATE TABLE leak (a String) ENGINE = `URL`('http://127.0.0.1:1/', CSV)",
    "CREATE TABLE leak (a String) ENGINE = MySQL('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "CREATE TABLE leak (a String) ENGINE = Kafka",
    "CREATE TABLE leak (a String) ENGINE = Distributed('c', 'd', 't')",
    "CREATE TABLE leak (a String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/tmp/x/')",
    "CREATE TABLE leak AS file('/etc/passwd', 'LineAsString')",
    "CREATE VIEW leak AS SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "CREATE DATABASE leak ENGINE = Filesystem('/etc')",
    "CREATE DATABASE leak ENGINE = PostgreSQL('127.0.0.1:1', 'd', 'u', 'p')",
    "CREATE DICTIONARY leak (a UInt64) PRIMARY KEY a SOURCE(FILE(path '/etc/passwd' format 'CSV')) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE FUNCTION leak AS x -> x",
    "CREATE NAMED COLLECTION leak AS a = 1",
    "CREATE USER leak",
    "ATTACH TABLE leak FROM '/tmp/x' (a UInt8) ENGINE = Memory",
    "BACKUP TABLE sink TO File('/tmp/x')",
    "RESTORE TABLE sink FROM File('/tmp/x')",
    "GRANT ALL ON *.* TO default",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM RELOAD CONFIG",
    "DROP DATABASE default",
    "DETACH DATABASE `default`",
    "EXPLAIN SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "DESCRIBE TABLE file('/etc/passwd', 'LineAsString')",
]


@pytest.fixture
def bait(node: NodeProcess) -> str:
    """A secret beside the spool, and links to it inside; returns the spool's path."""
    (node.folder / "secret.csv").write_text("secret\n")
    for name, target in (("link.csv", node.folder / "secret.csv"), ("folder", node.folder)):
        if not (node.spool / name).exists():
            (node.spool / name).symlink_to(target)
    client = node.client(database="tests")
    client.execute("CREATE TABLE IF NOT EXISTS sink (a String) ENGINE = Memory")
    client.disconnect()
    return str(node.spool)


@pytest.mark.parametrize("sql", DENIED)
def test_what_reaches_outside_is_refused_as_not_allowed(client: Client, bait: str, sql: str) -> None:
    with pytest.raises(ServerException) as refused:
        client.execute(sql.replace("{{", "{").replace("}}", "}").replace("{spool}", bait))
    assert refused.value.code == ACCESS_DENIED, refused.value.message
    assert not Path(bait, "new.csv").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        'SELECT * FROM "/etc/passwd"',
        "SELECT * FROM default.`/etc/passwd`",
        "DESCRIBE TABLE `/etc/passwd`",
        "SELECT * FROM 'https://127.0.0.1:1/x.csv'",
    ],
)
@pytest.mark.parametrize("database", ["default", "tests", "system"])
def test_a_path_is_no_table(client: Client, sql: str, database: str) -> None:
    client.execute(f"USE {database}")
    with pytest.raises(ServerException) as refused:
        client.execute(sql)
    assert refused.value.code == UNKNOWN_TABLE, refused.value.message


@pytest.mark.parametrize("name", ["dialect", "additional_table_filters", "query_cache_tag", "implicit_select"])
def test_a_setting_that_would_blind_the_checks_cannot_be_changed(client: Client, name: str) -> None:
    attempts = [(f"SET {name} = 'x'", {}), (f"SET {name}", {}), (f"SET max_threads = 1, `{name}` = 1", {})]
    attempts += [(f"SELECT 1 SETTINGS {name} = 'x'", {}), ("SELECT 1", {name: "x"})]
    for sql, settings in attempts:
        with pytest.raises(ServerException) as refused:
            client.execute(sql, settings=settings)
        assert refused.value.code == SETTING_CONSTRAINT


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM a$b$ file('/etc/passwd') $b$",
        "SELECT 1\u00a0FROM file('/etc/passwd')",
        "SELECT \u2018x\u2019",
        "SELECT 1 /* unclosed",
        "SELECT $a$ unclosed",
        "SELECT 1 \x00 FROM file('/etc/passwd')",
        "SELECT * FROM `fi\\x6ce`('/etc/passwd', 'LineAsString')",
        "SELECT * FROM \"fi\\x6ce\"('/etc/passwd', 'LineAsString')",
        "CREATE TABLE leak (a String) ENGINE = `Fil\\x65`(CSV, '/etc/passwd')",
    ],
)
def test_text_that_two_lexers_could_read_differently_is_a_syntax_error(client: Client, sql: str) -> None:
    with pytest.raises(ServerException) as refused:
        client.execute(sql)
    assert refused.value.code == SYNTAX_ERROR


@pytest.mark.parametrize(
    ("sql", "result"),
    [
        ("SELECT 'file(''/etc/passwd'')'", "file('/etc/passwd')"),
        ("SELECT $tag$ url('x') $tag$", " url('x') "),
        ("SELECT 1 -- url('x')", 1),
        ("SELECT /* s3('x') */ 2", 2),
        ("SELECT 5 AS file", 5),
        ("SELECT 'x' AS `url`", "x"),
        ("SELECT count() > 0 FROM system.tables WHERE engine = 'MySQL' OR 1", 1),
        ("SELECT sum(number) FROM numbers(4)", 6),
        ("SELECT 'größer'", "größer"),
        ("SELECT count() FROM (SELECT 1 AS dialect, 2 AS extremes) WHERE dialect = 1 AND extremes = 2", 1),
    ],
)
def test_harmless_text_that_only_looks_like_a_refused_call_is_run(client: Client, sql: str, result: object) -> None:
    assert client.execute(sql) == [(result,)]


def test_files_of_the_spool_are_read_by_a_list_of_names(client: Client, node: NodeProcess) -> None:
    for name, values in (("one", [1, 2]), ("two", [3])):
        table = pa.table({"a": pa.array(values, pa.uint64()), "b": pa.array([name] * len(values))})
        with pa.ipc.new_stream(str(node.spool / f"{name}.arrow"), table.schema) as out:
            out.write_table(table)
    client.execute("DROP TABLE IF EXISTS taken")
    client.execute(
        "CREATE TABLE taken (a UInt64, b String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    client.execute("DROP TABLE IF EXISTS taken_sums")
    client.execute(
        "CREATE TABLE taken_sums (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"
    )
    client.execute("DROP VIEW IF EXISTS taken_to_sums")
    client.execute("CREATE MATERIALIZED VIEW taken_to_sums TO taken_sums AS SELECT sum(a) AS n FROM taken")
    sql = f"INSERT INTO taken (a, b) SELECT a, b FROM file('{node.spool}/{{one,two}}.arrow', 'ArrowStream')"
    settings = {
        "insert_deduplication_token": "group-1",
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        "async_insert": 0,
        "max_insert_threads": 1,
        "min_insert_block_size_rows": 1_000_000,
        "min_insert_block_size_bytes": 1 << 28,
    }
    for _ in range(2):
        client.execute(sql, settings=settings)
    assert client.execute("SELECT a, b FROM taken ORDER BY a") == [(1, "one"), (2, "one"), (3, "two")]
    assert client.execute("SELECT sum(n) FROM taken_sums") == [(6,)]
    client.execute(sql, settings=settings | {"insert_deduplication_token": "group-2"})
    assert client.execute("SELECT count() FROM taken") == [(6,)]


def test_rows_sent_under_the_same_token_are_kept_once(client: Client) -> None:
    client.execute("DROP TABLE IF EXISTS once")
    client.execute(
        "CREATE TABLE once (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10"
    )
    for _ in range(3):
        client.execute("INSERT INTO once VALUES", [(1,), (2,)], settings={"insert_deduplication_token": "t"})
    assert client.execute("SELECT count() FROM once") == [(2,)]


def test_the_default_database_says_that_it_holds_no_tables(client: Client) -> None:
    for sql in (
        "CREATE TABLE default.t (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE TABLE default.t (a UInt8) ENGINE = Memory",
    ):
        with pytest.raises(ServerException, match="holds no tables") as refused:
            client.execute(sql)
        assert refused.value.code == 48
