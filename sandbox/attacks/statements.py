"""Attacks in SQL (section A of docs/security.md), as data: what a broken guard would let through to the engine.

`{file}` is a file of the host that any of its users may read, `{root}` where a control shows the host's root. A line
with `!` must fail on the locked engine. One without may run: it must find nothing but the box's own data.
"""

from __future__ import annotations

from sandbox.attacks.attack import Attack
from sandbox.contract import Wall

HOST = frozenset({Wall.VIEW, Wall.LANDLOCK})
_ENGINE = (
    "the engine's lock is what stops it, taken off in the same run; boxes hold nothing that it could find"
)

_LINES = """
1  ! read-csv            | SELECT * FROM read_csv('{root}{file}', header = false, columns = {{'a': 'VARCHAR'}})
1  ! read-json           | SELECT * FROM read_json_objects('{root}{file}', format = 'unstructured')
1  ! read-text           | SELECT content FROM read_text('{root}{file}')
1  ! read-blob           | SELECT content FROM read_blob('{root}{file}')
1  ! read-parquet        | SELECT * FROM read_parquet('{root}{file}')
1  ! read-environment    | SELECT content FROM read_blob('/proc/1/environ')
1  ! read-own-environment| SELECT content FROM read_blob('/proc/self/environ')
1  ! read-in-expression  | SELECT (SELECT content FROM read_text('{root}{file}')), count(*) FROM tax.income
1  ! read-many           | SELECT content FROM read_text(['{root}{file}', '/out/secret', '/tmp/secret'])
1  ! read-up             | SELECT content FROM read_text('/tmp/../../..{root}{file}')
2  ! sniff               | SELECT * FROM sniff_csv('{root}{file}')
2  ! parquet-metadata    | SELECT * FROM parquet_metadata('{root}{file}')
2  ! parquet-schema      | SELECT * FROM parquet_schema('{root}{file}')
2  ! parquet-bytes       | SELECT * FROM parquet_kv_metadata('{root}{file}')
3  ! glob                | SELECT * FROM glob('{root}/*')
3  ! glob-inputs         | SELECT * FROM glob('/in/*')
3  ! from-file           | FROM '{root}{file}'
3  ! from-quoted-file    | SELECT * FROM "{root}{file}"
4  ! copy-to-output      | COPY (SELECT * FROM tax.income) TO '/out/leak.csv'
4  ! copy-to-stdout      | COPY (SELECT name FROM read_parquet('/tmp/own.parquet')) TO '/dev/stdout'
4  ! copy-to-descriptor  | COPY (SELECT * FROM tax.income) TO '/proc/self/fd/1'
4  ! copy-to-shared      | COPY (SELECT * FROM tax.income) TO '/dev/shm/leak.csv'
4  ! copy-over-image     | COPY (SELECT 1) TO '/box/inside/__init__.py'
4  ! copy-from-file      | COPY tax.income FROM '{root}{file}'
5    glob-spill          | SELECT * FROM glob('/spill/**')
5    read-spill          | SELECT content FROM read_blob('/spill/*')
6  ! attach-file         | ATTACH '{root}{file}' AS x
6  ! attach-new          | ATTACH '/out/x.db' AS x
6  ! attach-sqlite       | ATTACH '{root}{file}' AS x (TYPE sqlite)
6  ! attach-postgres     | ATTACH 'host=127.0.0.1 port={tcp}' AS x (TYPE postgres)
6  ! attach-http         | ATTACH 'http://127.0.0.1:{tcp}/x.db' AS x
6  ! export              | EXPORT DATABASE '/out/all'
6  ! import              | IMPORT DATABASE '/tmp'
7    attach-memory       | ATTACH ':memory:' AS m
7    macro               | CREATE MACRO reader() AS TABLE SELECT * FROM tax.income
7    view                | CREATE VIEW seen AS SELECT * FROM tax.income
7  ! macro-of-file       | CREATE TABLE t AS SELECT * FROM read_text('{root}{file}')
8  ! install             | INSTALL spatial
8  ! install-community   | INSTALL shellfs FROM community
8  ! load-file           | LOAD '/tmp/planted.duckdb_extension'
8  ! force-install       | FORCE INSTALL httpfs FROM 'http://127.0.0.1:{tcp}'
9  ! http                | SELECT * FROM read_text('http://127.0.0.1:{tcp}/x')
9  ! http-csv            | SELECT * FROM 'http://127.0.0.1:{tcp}/x.csv'
9  ! metadata-address    | SELECT * FROM read_text('http://169.254.169.254/latest/')
9  ! object-store        | SELECT * FROM read_parquet('s3://bucket/x.parquet')
9  ! hub                 | SELECT * FROM 'hf://datasets/x/y.parquet'
10 ! set-access          | SET enable_external_access = true
10 ! set-folders         | SET allowed_directories = ['/']
10 ! set-paths           | SET allowed_paths = ['{root}{file}']
10 ! set-spill           | SET temp_directory = '/out'
10 ! set-encryption      | SET temp_file_encryption = false
10 ! set-memory          | SET memory_limit = '100GB'
10 ! set-extensions      | SET custom_extension_repository = 'http://127.0.0.1:{tcp}'
10 ! reset               | RESET lock_configuration
10 ! set-log             | SET enable_logging = true
10 ! pragma-log          | PRAGMA enable_profiling = 'json'
10 ! set-profile         | SET profile_output = '/out/profile'
11   variable            | SET VARIABLE x = 1
11   prepare             | PREPARE p AS SELECT * FROM tax.income
11   write-log           | SELECT write_log('x')
11   read-log            | SELECT * FROM duckdb_logs()
12   secrets             | SELECT * FROM duckdb_secrets()
12 ! create-secret-file  | CREATE PERSISTENT SECRET s (TYPE http)
12   which-secret        | SELECT * FROM which_secret('s3://x', 's3')
13 ! getenv              | SELECT getenv('PLANTED_SECRET')
13   home                | SELECT current_setting('home_directory')
14   settings            | SELECT * FROM duckdb_settings()
14   databases           | SELECT * FROM duckdb_databases()
14   views               | SELECT * FROM duckdb_views()
14   temporary-files     | SELECT * FROM duckdb_temporary_files()
14   memory              | SELECT * FROM duckdb_memory()
14   extensions          | SELECT * FROM duckdb_extensions()
14   external-files      | SELECT * FROM duckdb_external_file_cache()
15 ! query               | SELECT * FROM query('SELECT * FROM read_text(''{root}{file}'')')
15 ! query-table         | SELECT * FROM query_table('{root}{file}')
15   serialized          | SELECT json_serialize_sql('SELECT * FROM tax.income')
15 ! run-serialized      | FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{root}{file}'')'))
16 ! two-statements      | SELECT 1; COPY (SELECT 1) TO '/out/second.csv'
16 ! comment             | SELECT 1 /* ; */ ; SELECT * FROM read_text('{root}{file}')
18 ! input-without-key   | SELECT * FROM read_parquet('/tmp/own.parquet')
18 ! input-other-key     | SELECT * FROM read_parquet('/tmp/own.parquet', encryption_config = {{footer_key: 'other'}})
18 ! input-as-bytes      | SELECT content FROM read_blob('/in/*')
"""


def _parsed() -> tuple[tuple[int, bool, str, str], ...]:
    found = []
    for line in _LINES.strip().splitlines():
        head, _, sql = line.partition("|")
        number, *marks, name = head.split()
        found.append((int(number), "!" in marks, name, sql.strip()))
    return tuple(found)


def _attack(number: int, must_fail: bool, name: str, sql: str) -> Attack:
    reads_host = "{root}{file}" in sql and name in _READ_BY_CONTROL
    return Attack(
        name=f"sql-{name}",
        number=number,
        section="A",
        title="SQL: " + name.replace("-", " "),
        text="statements",
        walls=HOST if reads_host else frozenset(),
        no_control="" if reads_host else _ENGINE,
        sample=name in _SAMPLE,
    )


_READ_BY_CONTROL = {"read-csv", "read-text", "read-blob", "read-in-expression", "read-up", "sniff"}
_SAMPLE = {
    "read-text",
    "glob",
    "copy-to-stdout",
    "attach-new",
    "http",
    "set-access",
    "settings",
    "query",
    "getenv",
}
_ALL = _parsed()
ATTACKS = tuple(_attack(*each) for each in _ALL)
STATEMENTS = {f"sql-{name}": (sql, must_fail) for _, must_fail, name, sql in _ALL}
"""The statement of each attack, and whether the locked engine must refuse it."""
