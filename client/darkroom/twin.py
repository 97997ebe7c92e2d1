"""What a connection can do with look-alike data: run statements on them, show rows, and give a program its tables.

Rows are made in this process from recipes that the owners' keepers signed (`darkroom.twin_recipes`), by the SQL that
boxes use as well (`plans.twin_sql`). Nothing is asked of an owner, nothing is spent, and nobody hears of it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkroom import advice_width, taken
from darkroom.advice import teaching
from darkroom.joint_table import keys_as_text
from darkroom.local import project_and_purpose
from darkroom.twin_engine import Made, TwinEngine
from darkroom.twin_recipes import KnownTwin, TwinRecipes, as_in_catalog
from darkroom.twin_result import UNPROTECTED, MadeUp, Sample, TwinJob, TwinResult
from darkroom.wire import Wire
from plans import canonical, names
from plans.errors import Malformed, NotFound, SqlSyntax, SqlUnsupported
from plans.quoting import identifier
from plans.trial import MOST_ROWS
from plans.twins import narrowed

if TYPE_CHECKING:
    import pyarrow

SAMPLE_ROWS = 20


class Twins:
    """The part of a connection that is about look-alike data."""

    _wire: Wire

    if TYPE_CHECKING:

        def trusted_keeper(self, domain: str) -> str | None: ...
        def dry_run(
            self, statement: str, *, project: str, purpose: str, spend_micro: int = 0
        ) -> dict[str, Any]: ...

    def __init__(self) -> None:
        self._recipes: TwinRecipes | None = None
        self._engine: TwinEngine | None = None
        self._one_at_a_time = threading.Lock()

    def known_twin(self, relation: str) -> KnownTwin:
        """Return the checked recipe of a relation in SQL, such as `tax.income`, or of a dataset, such as
        `nm/tax/income`.

        Raises:
            DarkroomError: as `TwinRecipes.of_relation`.
        """
        if self._recipes is None:
            self._recipes = TwinRecipes(self._wire, self.trusted_keeper)
        find = self._recipes.of_dataset if "/" in relation else self._recipes.of_relation
        return find(relation)

    def sql_on_twins(
        self, statement: str, *, project: str = "", purpose: str = "", joint: bool = False
    ) -> TwinJob:
        """Run a statement on look-alike data, here and now; a joint one gives what its answer would have as types.

        Raises:
            SqlSyntax, SqlUnsupported, TooLarge, NotFound: what is not right with it.
            StateConflict: the engine is not installed; it says how to.
            DarkroomError: as `known_twin`.
        """
        with teaching(self, statement, project=project, purpose=purpose):
            try:
                found = self._run(statement)
            except (NotFound, SqlSyntax, SqlUnsupported) as problem:
                raise advice_width.explained(statement, problem) from None
        twins = [self.known_twin(relation) for relation in found.relations]
        told = tuple(sentence for twin in twins for sentence in twin.sentences)
        columns = keys_as_text(statement, found.columns) if joint else found.columns
        result = TwinResult(MadeUp(columns, found.rows), (UNPROTECTED, *told))
        recipes = [twin.twin.recipe.digest for twin in twins]
        digest = canonical.digest("twin-job", {"statement": statement, "recipes": recipes})

        def explain() -> list[dict[str, str]]:
            named = project_and_purpose(project, purpose)
            return list(self.dry_run(statement, project=named[0], purpose=named[1])["reasons"])

        return TwinJob(f"twin-{digest.removeprefix('sha256:')[:15]}", result, explain, told)

    def sample(self, dataset: str, rows: int = SAMPLE_ROWS) -> Sample:
        """Return the first look-alike rows of a dataset, such as `nm/tax/income` (or its relation, `tax.income`).

        Raises:
            Malformed: `rows` is not between 1 and the most that a twin has.
            DarkroomError: as `known_twin`.
        """
        if not 1 <= taken.whole(rows, "rows") <= MOST_ROWS:
            raise Malformed(f"a sample has between 1 and {MOST_ROWS:,} rows", f"rows={rows}")
        twin = self.known_twin(as_in_catalog(dataset))
        statement = f"SELECT * FROM {_quoted(twin.table.name)} LIMIT {rows}"
        with self._one_at_a_time:
            found = self._opened().run(statement, lambda _: twin.table)
        return Sample(MadeUp(found.columns, found.rows), twin.sentences, twin.dataset)

    def twin_table(self, relation: str, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Return all look-alike rows of a relation with the types that a program finds in a trial; with `columns`, the
        person token and these, as a job is given them.

        Raises:
            NotFound: it has no such column.
            DarkroomError: as `known_twin`.
        """
        table = self.known_twin(relation).table
        if columns is not None:
            there = [each.name for each in table.visible]
            for column in columns:
                if column not in there:
                    what = f"{relation} has no column {column!r} that a task may read"
                    raise NotFound(what, relation, f"There are {', '.join(there)}.")
            table = narrowed(table, tuple(sorted(columns)))
        with self._one_at_a_time:
            return self._opened().arrow(table)

    def _run(self, statement: str) -> Made:
        with self._one_at_a_time:
            return self._opened().run(statement, lambda relation: self.known_twin(relation).table)

    def _opened(self) -> TwinEngine:
        if self._engine is None:
            self._engine = TwinEngine()
        return self._engine


def _quoted(relation: str) -> str:
    schema, _, name = names.require("relation", relation).partition(".")
    return f"{identifier(schema)}.{identifier(name)}"
