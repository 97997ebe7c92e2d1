"""From frozen rows to table rows and back: the few statements that every table needs."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.sql import Select

from plans.errors import NotFound
from store.database import Session

Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True)
class Lines(Generic[Row]):
    """A table, the dataclass of its rows, the column that names a row, and a row's name in a message."""

    table: Table
    row: type[Row]
    key: str
    noun: str

    def add(self, session: Session, row: Row) -> None:
        """Insert a row.

        Raises:
            StateConflict: there is one with this key.
        """
        session.execute(self.table.insert().values(values(row)))

    def find(self, session: Session, key: str) -> Row | None:
        """Return the row with this key, or none."""
        return self.first(session, self.query(self.table.c[self.key] == key))

    def get(self, session: Session, key: str) -> Row:
        """Return the row with this key.

        Raises:
            NotFound: there is none.
        """
        found = self.find(session, key)
        if found is None:
            raise NotFound(f"there is no such {self.noun}", self.noun)
        return found

    def query(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Return a query for the rows that satisfy all conditions."""
        return select(self.table).where(*conditions)

    def rows(self, session: Session, query: Select[Any]) -> tuple[Row, ...]:
        """Return the rows that a query finds."""
        return tuple(self.row(**found) for found in session.execute(query).mappings())

    def first(self, session: Session, query: Select[Any]) -> Row | None:
        """Return the first row that a query finds, or none."""
        return next(iter(self.rows(session, query.limit(1))), None)

    def change(self, session: Session, changes: dict[str, Any], *conditions: ColumnElement[bool]) -> int:
        """Change the rows that satisfy all conditions; return how many there were."""
        return session.execute(self.table.update().where(*conditions).values(changes)).rowcount


def values(row: Any) -> dict[str, Any]:
    """Return a row's members by name."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
