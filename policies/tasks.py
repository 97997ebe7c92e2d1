"""What a task uses, in the words in which statements are read, so that one set of rules decides about both.

Nobody reads a member's program: it may do whatever it likes with every column that its task names, so each is a
column that feeds a model. A component says which of its columns become keys of groups; its code, which the owner
trusts by the image's digest, refuses a task that says less than what the component does with a column.
"""

from __future__ import annotations

from plans.reading import Clause, ColumnUse, Level, Reading
from plans.request import Request
from plans.tasks import Need, task_of


def reading_of_task(request: Request) -> Reading:
    """Return the reading of a task: its relations, and each column with the clauses that it stands for.

    Raises:
        Malformed: the request asks for SQL, or holds no task.
    """
    task = task_of(request)
    return Reading(
        statement=request.statement_digest,
        level=Level.WORK,
        relations=tuple(need.relation for need in task.needs),
        uses=tuple(use for need in task.needs for use in _uses(need)),
        functions=(),
        tables=(),
        finish="",
        outputs=(),
        order=(),
        limit=None,
    )


def _uses(need: Need) -> tuple[ColumnUse, ...]:
    fed = [ColumnUse(need.relation, column, Clause.MODEL, "") for column in sorted(need.columns)]
    shown = [ColumnUse(need.relation, column, Clause.GROUP, "") for column in sorted(need.keys)]
    return (*fed, *shown)
