"""Cohorts: rows of persons who have, or have not, certain other rows.

    SELECT region, avg(income) FROM tax.income
    WHERE person IN (SELECT person FROM med.visit WHERE kind = 'E11') GROUP BY region

A join would say the same, but gives a row for every visit, and so weighs persons by their visits.

**Only by the person.** The rows that are left are of persons in the inner set, or of persons outside it: so the
persons of the cell, who are counted anyway, are all persons about whom the condition tells anything. With any
other key they are not. `WHERE region IN (SELECT region FROM tax.income WHERE name = 'Li')` leaves the large cell of
one region and thereby says where Li lives, while the figure rests on everybody else. A join over that key counts
both sides, and is there for it. For the same reason

* the inner relations are about one set of persons: all their tokens are set equal (reference data have none).
  Were hospitals joined to the inner visits, one hospital would decide about many patients, uncounted;
* nothing inside refers to the rows outside but by the person.

Where the relations outside are about several sets of persons, the cohort tells of that one whose token is asked
for; the cell has as many persons as the least of all the sets, as ever.

**Two truth values.** Tokens are never null, except on the right side of a LEFT JOIN, where they are refused; so
NOT IN is the exact opposite of IN, and the same as NOT EXISTS. What can fail at a row inside is attempted, and a row
where it fails is not among the chosen ones (`attempts`).

There is one form, `person IN (SELECT person FROM … WHERE …)`; `flat_cohorts` writes the others so.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from plans import names
from plans.errors import SqlUnsupported
from policies.reading import refusal
from policies.reading.attempts import attempt_condition
from policies.reading.bounds import BOUNDS
from policies.reading.flat_rows import bare
from policies.reading.grammar import OPERATORS, Kind
from policies.reading.persons import distinct_people
from policies.reading.sources import Scope, read_sources, refuse_extra
from policies.reading.translate import Setting, condition
from policies.reading.tree import Cohort, Column, Expression, Joined, Operation, cohorts

MOST_READ = 48
"""How often subqueries may stand in a counted statement, where each part of a figure repeats its conditions: every
time the engine reads their relations once more.
"""
INSTEAD = (
    "Write person IN (SELECT person FROM … WHERE …), or join the relation: a join counts the persons of both."
)


def read_cohort(node: exp.In, setting: Setting) -> Cohort:
    """Return `person IN (SELECT person …)`.

    Raises:
        SqlUnsupported: it compares something else than tokens, or the inner SELECT is not of plain rows about one
            set of persons.
        SqlSyntax: a name in it is not there.
    """
    refuse_extra(node, {"this", "query"})
    person = _token(node.this, setting.scope)
    subquery = node.args["query"]
    refuse_extra(subquery, {"this"})
    select = subquery.this
    if not isinstance(select, exp.Select):
        raise refusal.unsupported(node, "IN takes a list of constants, or one SELECT of persons", INSTEAD)
    refuse_extra(select, {"expressions", "from_", "joins", "where"})
    if len(select.expressions) != 1:
        raise refusal.unsupported(node, "the SELECT behind IN yields one column", INSTEAD)
    scope = read_sources(select, setting.scope.shadows)
    chosen = _token(select.expressions[0], scope)
    if len(distinct_people(scope)) != 1:
        raise refusal.unsupported(
            node,
            "the subquery joins relations about different persons, who would decide about others, uncounted",
            "Join relations in it by their persons, or join them outside: there all are counted.",
        )
    where = select.args.get("where")
    found = None if where is None else condition(where.this, Setting(scope, setting.rules))
    return Cohort(
        person,
        chosen,
        tuple(source.joined for source in scope.sources),
        None if found is None else attempt_condition(found),
    )


def _token(node: exp.Expression, scope: Scope) -> Column:
    inner = bare(node)
    found = None
    if isinstance(inner, exp.Column) and not isinstance(inner.this, exp.Star):
        found = scope.column(inner)
    if found is None or found.name != names.PERSON:
        raise refusal.unsupported(
            node,
            "a subquery chooses rows by something else than the person: its single persons would decide about others,"
            " uncounted",
            INSTEAD,
        )
    if found.nullable:
        raise refusal.unsupported(
            node,
            "persons are chosen by the right side of a LEFT JOIN, where there may be none",
            "Use the person of the relation before it.",
        )
    return found


def require_few(scope: Scope, expressions: Iterable[Expression]) -> tuple[Joined, ...]:
    """Return every relation that a SELECT reads, in FROM and in cohorts, each reading with an alias of its own.

    Raises:
        SqlUnsupported: they are too many, two have the same alias, or a cohort is compared with something.
    """
    expressions = tuple(expressions)
    found = list(dict.fromkeys(each for expression in expressions for each in cohorts(expression)))
    inner = [each.where for each in found if each.where is not None]
    for node in (node for expression in (*expressions, *inner) for node in expression.walk()):
        if (
            isinstance(node, Operation)
            and OPERATORS[node.operator].kind is Kind.COMPARISON
            and any(cohorts(node))
        ):
            raise SqlUnsupported(
                "whether a person is chosen by a subquery is compared with something",
                "statement",
                "Write the subquery into WHERE or WHEN by itself, beside AND, OR and NOT.",
            )
    read = [source.joined for source in scope.sources]
    read += [source for each in found for source in each.sources]
    if len(read) > BOUNDS.relations:
        raise SqlUnsupported(f"a statement joins at most {BOUNDS.relations} relations", "FROM")
    if found and len({source.alias for source in read}) < len(read):
        raise SqlUnsupported(
            "a relation in a subquery has the alias of another one", "FROM", "Give each an alias of its own."
        )
    return tuple(read)


def require_affordable(counted: str) -> str:
    """Return a counted statement, if its subqueries do not stand in too many places.

    Raises:
        SqlUnsupported: they do.
    """
    if counted.count(" IN (SELECT ") > MOST_READ:
        raise SqlUnsupported(
            f"subqueries that choose persons would be read more than {MOST_READ} times, once for each part of a figure",
            "SELECT",
            "Put them into WHERE or into a GROUP BY key, or use fewer figures with CASE or FILTER.",
        )
    return counted
