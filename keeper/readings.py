"""Members' statements, as the owner's own checker box reads them."""

from __future__ import annotations

from collections.abc import Callable

from keeper.config import KeeperConfig
from plans.box import Entry
from plans.plan import Plan
from plans.reading import Reading, Shadow
from sandbox import api as sandbox

Reader = Callable[[Plan, str], Reading]
"""Has a check plan's statement read in the owner's own checker box (`sandbox.read_statement`)."""

_MOST_KEPT = 1_000


class Readings:
    """Has statements read; the same statement on the same likenesses once."""

    def __init__(self, config: KeeperConfig, reader: Reader) -> None:
        self._config, self.reader = config, reader
        self._known: dict[str, Reading] = {}

    def read(self, statement: str, shadows: tuple[Shadow, ...]) -> Reading:
        """Return what the checker box finds in a statement on these likenesses.

        Raises:
            DarkroomError: whatever the reader raises.
        """
        config = self._config
        limits = config.limits[Entry.CHECK]
        check = sandbox.check_plan(config.domain, config.images[0], limits, statement, shadows)
        reading = self._known.get(check.digest)
        if reading is None:
            reading = self.reader(check, statement)
            if len(self._known) > _MOST_KEPT:
                self._known.clear()
            self._known[check.digest] = reading
        return reading
