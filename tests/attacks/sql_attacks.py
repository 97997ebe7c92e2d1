"""Statements that want more than figures about groups, one a line, by their number in the list of attacks (A)."""

from __future__ import annotations

CANARY = "CANARY-OF-SQL"
CANARY_NUMBER = 987654321

ATTACKS = r"""
1  | select count(*) from read_csv('/etc/passwd')
1  | select count(*) from read_json('/etc/passwd')
1  | select count(*) from read_parquet('/in/tax.income.attributes')
1  | select count(*) from read_text('/etc/passwd')
1  | select count(*) from read_blob('/proc/1/environ')
1  | select count(*), (select content from read_text('/etc/passwd')) from tax.income
2  | select count(*) from sniff_csv('/etc/passwd')
2  | select count(*) from parquet_metadata('/in/tax.income.attributes')
2  | select count(*) from parquet_schema('/in/tax.income.attributes')
3  | select count(*) from glob('/in/*')
3  | select count(*) from '/in/tax.income.attributes'
3  | select count(*) from "/in/tax.income.attributes"
3  | from '/etc/passwd'
4  | copy tax.income to '/out/x.csv'
4  | copy (select * from tax.income) to '/dev/stdout'
6  | attach '/tmp/x.db' as x
6  | attach 'x.sqlite' (type sqlite)
6  | attach 'host=db' as p (type postgres)
6  | attach 'http://example.org/x.db'
6  | export database '/out'
6  | import database '/in'
7  | attach ':memory:' as m
7  | create macro f(x) as x
7  | create view v as select * from tax.income
7  | create table t as select * from tax.income
7  | update tax.income set income = 0
7  | insert into tax.income select * from tax.income
7  | delete from tax.income
7  | drop table tax.income
8  | install httpfs
8  | load httpfs
8  | force install x from community
9  | select count(*) from 'http://169.254.169.254/latest/meta-data'
9  | select count(*) from read_csv('s3://bucket/x')
9  | select count(*) from 'hf://datasets/x.parquet'
10 | set memory_limit = '100GB'
10 | reset memory_limit
10 | pragma database_list
10 | call pragma_version()
10 | checkpoint
11 | set variable x = 1
11 | prepare p as select count(*) from tax.income
11 | execute p
11 | select write_log('x'), count(*) from tax.income
11 | select count(*) from tax.income where getvariable('x') = 1
12 | create secret s (type s3)
12 | select count(*) from duckdb_secrets()
12 | select which_secret('s3://x', 's3'), count(*) from tax.income
13 | select getenv('HOME'), count(*) from tax.income
13 | select count(*) from tax.income where getenv('PATH') like '%x%'
14 | select count(*) from duckdb_settings()
14 | select count(*) from duckdb_databases()
14 | select count(*) from duckdb_views()
14 | select count(*) from pragma_database_list
14 | select count(*) from pragma_database_list()
14 | select count(*) from information_schema.tables
14 | select count(*) from pg_catalog.pg_class
14 | select current_setting('memory_limit'), count(*) from tax.income
14 | select version(), count(*) from tax.income
15 | select count(*) from query('select * from tax.income')
15 | select count(*) from query_table('tax.income')
15 | select count(*) from json_execute_serialized_sql('{}')
15 | from query('select person from tax.income')
15 | select json_serialize_plan('select 1'), count(*) from tax.income
16 | select count(*) from tax.income; select * from tax.income
16 | select count(*) from tax.income; copy tax.income to '/out/x'
16 | select count(*) from tax.income /* ; */ ; drop table tax.income
16 | ; select 1
16 | select count(*) from tаx.income
16 | select count(*) from tax.income where ｉncome > 1
16 | select count(*) from tax.income where "İncome" > 1
16 | "select" count(*) "from" tax.income
16 | ſelect count(*) from tax.income
16 | explain analyze select count(*) from tax.income
16 | select count(*) from tax.income where region = 'a' -- '\n union select income from tax.income
17 | select tax.income, count(*) from tax.income group by 1
17 | select i, count(*) from tax.income i group by i
17 | select count(i) from tax.income i
17 | select to_json(i), count(*) from tax.income i group by 1
17 | select columns('.*'), count(*) from tax.income group by all
17 | select count(columns(*)) from tax.income
17 | select unnest(i), count(*) from tax.income i group by 1
17 | select first(i) from tax.income i
17 | select * exclude (person) from tax.income
17 | select * replace (1 as age) from tax.income
17 | select i.* from tax.income i
17 | summarize tax.income
17 | describe tax.income
17 | show tables
17 | select count(*) from tax.income i, lateral (select i.income) l
17 | select count(*) from tax.income i where exists (select 1 from med.visit v where v.region = i.region)
17 | select count(*) from tax.income i where age = (select max(age) from tax.income j where j.region = i.region)
17 | select count(*) from tax.income i asof join med.visit v on i.person = v.person and i.born >= v.day
17 | select count(*) from tax.income positional join med.visit
17 | select count(*) from tax.income natural join med.visit
17 | pivot tax.income on region using sum(income)
17 | unpivot tax.income on income into name n value v
17 | select struct_pack(x := income), count(*) from tax.income group by 1
17 | select {'x': income}, count(*) from tax.income group by 1
17 | select [income], count(*) from tax.income group by 1
17 | select list_transform([income], x -> x), count(*) from tax.income group by 1
18 | select count(*) from read_parquet('/in/tax.income.attributes', encryption_config = {footer_key: 'k'})
18 | select count(*) from parquet_scan('/in/tax.income.attributes')
19 | select income from tax.income
19 | select person, income from tax.income
19 | select any_value(income) from tax.income
19 | select first(income), last(income) from tax.income
19 | select list(income) from tax.income
19 | select array_agg(income) from tax.income
19 | select string_agg(region, ',') from tax.income
19 | select arg_max(region, income) from tax.income
19 | select max_by(region, income) from tax.income
19 | select mode(income) from tax.income
19 | select histogram(income) from tax.income
19 | select approx_top_k(income, 3) from tax.income
19 | select approx_count_distinct(income) from tax.income
19 | select product(income) from tax.income
19 | select bit_xor(age), bit_and(age) from tax.income
19 | select bool_or(urban) from tax.income
19 | select entropy(income), skewness(income) from tax.income
19 | select sum(income) over (order by income) from tax.income
19 | select rowid, count(*) from tax.income group by rowid
19 | select count(*) from tax.income using sample 1 rows
19 | select count(*) from tax.income tablesample reservoir(1)
19 | select distinct income from tax.income
19 | select count(*) from tax.income where random() < 0.1
20 | select error(region), count(*) from tax.income group by 1
20 | select cast(region as integer), count(*) from tax.income group by 1
20 | select count(*) from tax.income where region::date > date '2000-01-01'
20 | select strptime(region, '%Y'), count(*) from tax.income group by 1
20 | select json(region), count(*) from tax.income group by 1
20 | select region::json, count(*) from tax.income group by 1
20 | select count(*) from tax.income where regexp_matches(region, region)
20 | select cast(region as enum('x')), count(*) from tax.income group by 1
20 | select sum(case when region like 'C%' then error(region) else 1 end) from tax.income
20 | select sum(region + 1) from tax.income
20 | select count(*) from tax.income where region + 1 > 0
20 | select count(*) from tax.income where region in (1, 2)
22 | with recursive r as (select 1 union all select 1 from r) select count(*) from r
22 | select count(*) from tax.income, tax.income b, tax.income c
22 | select count(*) from tax.income a join tax.income b on true
22 | select count(*) from tax.income a join tax.income b on 1 = 1
22 | select repeat(region, 1000000000), count(*) from tax.income group by 1
22 | select count(*) from range(1000000000000)
22 | select sum(len(range(1000000000))) from tax.income
22 | select count(*) from tax.income where regexp_matches(region, '(a*)*b')
22 | select count(*) from tax.income where region like '%' || region || '%'
23 | select count(*) as "CANARY-OF-SQL" from tax.income
23 | select count(*) as "987654321" from tax.income
23 | select count(*) as n, sum(age) as n from tax.income
23 | select count(*) as _persons_0 from tax.income
23 | select cast(age as enum('CANARY-OF-SQL')) as a, count(*) from tax.income group by 1
23 | select age::struct(canary integer) as a, count(*) from tax.income group by 1
"""
