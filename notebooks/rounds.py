"""The Hub's rounds: what is put right again after something died, every few seconds.

* A proxy that was started anew knows no lab: it is told all routes at once.
* A lab, or a port at the porter, that the Hub knows nothing of is left over from a Hub that was killed at a bad moment:
  it is ended, since it would keep a member's home in use. What is younger than a minute may be just beginning.
"""

from __future__ import annotations

import time
from typing import Any

from jupyterhub import orm

from notebooks.spawner import LabSpawner, Neighbours
from plans.errors import DarkroomError

PAUSE_S = 3.0
YOUNG_S = 60.0
"""For how long something unknown is let be."""


class Rounds:
    """Goes round; `app` is the running JupyterHub."""

    def __init__(self, app: Any, neighbours: Neighbours) -> None:
        self._app, self._neighbours = app, neighbours
        self._first_seen: dict[str, float] = {}

    async def go(self) -> None:
        """Go round once. What cannot be reached now is looked at the next time."""
        try:
            await self._routes()
        except (OSError, TimeoutError) as problem:
            self._app.log.warning("The proxy does not answer: %s", problem)
        try:
            await self._strangers()
        except DarkroomError as problem:
            self._app.log.warning("Rounds: %s", problem)

    async def _routes(self) -> None:
        app = self._app
        routes = await app.proxy.get_all_routes()
        ready = [
            spawner for user in app.users.values() for spawner in user.spawners.values() if spawner.ready
        ]
        missing = app.hub.routespec not in routes or any(
            spawner.proxy_spec not in routes for spawner in ready
        )
        if missing:
            app.log.warning("The proxy has forgotten routes; telling it again")
            await app.proxy.check_routes(app.users, app._service_map, routes)

    async def _strangers(self) -> None:
        """End what lives and nobody here knows."""
        launcher, porter = self._neighbours.launcher, self._neighbours.porter
        living, open_ = set(await launcher.living()), set(await porter.plans())
        known = self._known()
        now = time.monotonic()
        strangers = (living | open_) - known
        self._first_seen = {plan: self._first_seen.get(plan, now) for plan in strangers}
        for plan, seen in self._first_seen.items():
            if now - seen >= YOUNG_S:
                self._app.log.warning("Ending what no user has: %s", plan[:19])
                await launcher.cancel(plan)
                await porter.close(plan)

    def _known(self) -> set[str]:
        """Return the plans of the labs that users have, those included that the database alone knows."""
        spawners = [spawner for user in self._app.users.values() for spawner in user.spawners.values()]
        found = {spawner.plan for spawner in spawners if isinstance(spawner, LabSpawner)}
        kept = self._app.db.query(orm.Spawner).filter(orm.Spawner.server_id.isnot(None))
        found |= {str((spawner.state or {}).get("plan", "")) for spawner in kept}
        return found - {""}
