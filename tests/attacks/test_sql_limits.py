"""ATTACKS 22: statements within the bounds of length that would cost the reader much more than they cost to write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plans.errors import SqlUnsupported
from policies.reading import read_forms
from tests.inside.sql_cases import SHADOWS


def chain(count: int, item: Callable[[int], str]) -> str:
    """Return items 0, 1, … with commas between them."""
    return ", ".join(map(item, range(count)))


def doubled(first: str, times: int) -> str:
    """Return outputs of which each is twice the one before, by name."""
    return f"{first} as a0, " + chain(times, lambda n: f"a{n} + a{n} as a{n + 1}")


WIDE = chain(300, lambda n: f"age + {n} as c{n}")
SUMS = chain(60, lambda n: f"c{n} + c{n + 1} as c{n}")
STEPS = chain(9, lambda k: f"a{k + 1} as (select {SUMS}, c60 from a{k})")
COSTLY = {
    "figures": f"select {doubled('sum(age)', 24)} from tax.income",
    "figures, compared": f"select {doubled('sum(age)', 24)} from tax.income having a24 > 1",
    "keys": f"select {doubled('age', 24)}, count(*) as n from tax.income group by all",
    "columns, compared": f"select {doubled('age', 24)}, count(*) n from tax.income where a24 > 1 group by 1",
    "wide": f"with a0 as (select {WIDE} from tax.income), {STEPS} select sum(c0) from a9",
    "many figures": f"select coalesce({chain(2_400, lambda n: f'sum(age + {n})')}) as f from tax.income",
    "many keys": f"select count(*) n from tax.income group by rollup({chain(3_000, lambda n: f'age + {n}')})",
    "many outputs": f"select {chain(4_900, lambda n: f'1 as a{n}')} from tax.income having count(*) > 0",
    "many outside": f"select {chain(2_000, lambda n: f'n as a{n}')} from (select count(*) n from tax.income)",
}


@pytest.mark.timeout(120)  # without its bound, each takes minutes or much longer
@pytest.mark.parametrize("statement", COSTLY.values(), ids=COSTLY)
def test_22_a_statement_is_refused_before_it_is_written_out(statement: str) -> None:
    with pytest.raises(SqlUnsupported, match=r"too large|too deeply|yields 1 to"):
        read_forms(statement, SHADOWS)


ALLOWED = {
    "figures by name": f"select {doubled('sum(age)', 5)} from tax.income having a5 > 1",
    "keys by name": f"select {doubled('age', 5)}, count(*) as n from tax.income group by all",
    "some figures": f"select coalesce({chain(20, lambda n: f'sum(age) + {n}')}) as f from tax.income",
    "some keys": f"select count(*) as n from tax.income group by rollup({chain(20, lambda n: f'age + {n}')})",
}


@pytest.mark.parametrize("statement", ALLOWED.values(), ids=ALLOWED)
def test_22_control_the_same_in_small_is_read(statement: str) -> None:
    assert read_forms(statement, SHADOWS).reading.tables
