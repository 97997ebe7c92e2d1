"""TPC-H queries that the SQL subset allows, over relations that have a person token.

TPC-H has no persons, so each relation is given one, as an owner's ingest would: customers and orders that of the
customer, line items and suppliers that of the supplier (an enterprise), parts, nations and regions one each. Tokens
are 64-bit hashes, as real ones look. Queries are those of TPC-H 3.0.1, section 2.4, with joins written as JOIN,
customers joined to their orders by person, and Q19 by two of its three brands. The other fourteen need subqueries,
outer joins with conditions, or count differently.
"""

from __future__ import annotations

PEOPLE = {
    "customer": "c_custkey",
    "orders": "o_custkey",
    "lineitem": "l_suppkey",
    "supplier": "s_suppkey",
    "part": "p_partkey",
    "nation": "n_nationkey",
    "region": "r_regionkey",
}
"""The column that the token of each relation is made from."""

REVENUE = "sum(l_extendedprice * (1 - l_discount)) as revenue"
ORDERED = """tpch.customer c join tpch.orders o on c.person = o.person
    join tpch.lineitem on l_orderkey = o_orderkey"""

QUERIES = {
    1: """select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price,
    sum(l_extendedprice * (1 - l_discount)) as sum_disc_price,
    sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge, avg(l_quantity) as avg_qty,
    avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order
    from tpch.lineitem where l_shipdate <= date '1998-12-01' - interval '90' day
    group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus""",
    3: f"""select l_orderkey, {REVENUE}, o_orderdate, o_shippriority from {ORDERED}
    where c_mktsegment = 'BUILDING' and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
    group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10""",
    5: f"""select n_name, {REVENUE} from {ORDERED}
    join tpch.supplier on l_suppkey = s_suppkey and c_nationkey = s_nationkey
    join tpch.nation on s_nationkey = n_nationkey join tpch.region on n_regionkey = r_regionkey
    where r_name = 'ASIA' and o_orderdate >= date '1994-01-01'
    and o_orderdate < date '1994-01-01' + interval '1' year group by n_name order by revenue desc""",
    6: """select sum(l_extendedprice * l_discount) as revenue from tpch.lineitem
    where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year
    and l_discount between 0.06 - 0.01 and 0.06 + 0.01 and l_quantity < 24""",
    10: f"""select c_custkey, c_acctbal, n_name, {REVENUE} from {ORDERED}
    join tpch.nation on c_nationkey = n_nationkey
    where o_orderdate >= date '1993-10-01' and o_orderdate < date '1993-10-01' + interval '3' month
    and l_returnflag = 'R' group by c_custkey, c_acctbal, n_name order by revenue desc limit 20""",
    12: """select l_shipmode,
    sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 end) as high,
    sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as low
    from tpch.orders join tpch.lineitem on o_orderkey = l_orderkey
    where l_shipmode in ('MAIL', 'SHIP') and l_commitdate < l_receiptdate and l_shipdate < l_commitdate
    and l_receiptdate >= date '1994-01-01' and l_receiptdate < date '1994-01-01' + interval '1' year
    group by l_shipmode order by l_shipmode""",
    14: """select 100.00 * sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end)
    / sum(l_extendedprice * (1 - l_discount)) as promo_revenue
    from tpch.lineitem join tpch.part on l_partkey = p_partkey
    where l_shipdate >= date '1995-09-01' and l_shipdate < date '1995-09-01' + interval '1' month""",
    19: f"""select {REVENUE} from tpch.lineitem join tpch.part on p_partkey = l_partkey
    where l_shipmode in ('AIR', 'AIR REG') and l_shipinstruct = 'DELIVER IN PERSON' and (
    (p_brand = 'Brand#12' and p_container in ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
        and l_quantity between 1 and 11 and p_size between 1 and 5)
    or (p_brand = 'Brand#23' and p_container in ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
        and l_quantity between 10 and 20 and p_size between 1 and 10))""",
}
