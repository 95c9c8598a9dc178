"""How the tables of the catalogue run their statements.

Owns: a transaction for each statement, under the deadline of the caller.  Must never know: which tables there are.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Select

from relay.runtime.deadlines import Deadline
from relay.store.database import Database

T = TypeVar("T")


class CatalogueTable:
    """Runs the statements of one table, each in a transaction of its own."""

    def __init__(self, database: Database, deadline: Deadline) -> None:
        self._database = database
        self._deadline = deadline

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work, deadline=self._deadline)

    async def _execute(self, statement: Executable) -> int:
        """Run a statement that changes rows; return how many."""
        return await self._write(lambda connection: connection.execute(statement).rowcount)

    async def _one(self, query: Select[Any]) -> Any:
        return await self._database.read(lambda connection: connection.execute(query).one_or_none(), deadline=self._deadline)

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(query).all(), deadline=self._deadline)
