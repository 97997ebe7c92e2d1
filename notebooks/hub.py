"""`python -P -m notebooks.hub SETTINGS`: JupyterHub, behind walls and under a user id of its own.

It has no shell access to anything: it asks the launcher for boxes and the portal for everything else. It keeps users,
sessions and which lab is whose in a database of its own. It may be killed at any time; labs go on without it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from notebooks import walls
from notebooks.settings import SECRETS, LabsSettings, secrets_of
from plans.errors import DarkroomError


def serve(settings: LabsSettings, secrets: dict[str, str]) -> None:
    """Run JupyterHub until told to stop."""
    from jupyterhub.app import JupyterHub
    from tornado.httpclient import AsyncHTTPClient
    from tornado.ioloop import PeriodicCallback

    from notebooks import bounds
    from notebooks.config import configure
    from notebooks.rounds import PAUSE_S, Rounds

    class Hub(JupyterHub):
        """JupyterHub that reads no file of settings from the folder that it stands in, and goes its rounds."""

        name = "jupyterhub"

        def load_config_file(self, *_: Any, **__: Any) -> None:
            """Read none: `notebooks.config` said everything."""

        def init_pycurl(self) -> None:
            """Have room for many questions at a time."""
            AsyncHTTPClient.configure(None, max_clients=100)

        async def start(self) -> None:
            """Start, then go round."""
            await super().start()
            bounds.bound_bodies(self.http_server)
            rounds = Rounds(self, self.spawner_class.neighbours)
            self._periodic_callbacks["rounds"] = PeriodicCallback(rounds.go, 1000 * PAUSE_S)
            self._periodic_callbacks["rounds"].start()

    bounds.only_plain_cookies()
    Hub.instance(config=configure(settings, secrets))
    Hub.launch_instance([])


def room(settings: LabsSettings) -> walls.Room:
    """Return what the Hub sees: its own folder, the sockets of porter and launcher, and which images there are."""
    sockets = (Path(settings.porter_desk).parent, Path(settings.launcher_socket).parent)
    return walls.Room(
        "notebooks.hub", settings.user_hub, (Path(settings.hub_state),), sockets, (Path(settings.images),)
    )


def main(given: list[str]) -> int:
    """Build the walls, or, behind them, be the Hub."""
    try:
        os.umask(0o077)
        if given != [walls.INSIDE]:
            settings = LabsSettings.load(Path(given[0]))
            told = {"settings": settings.plain(), "secrets": dict(secrets_of(settings, SECRETS))}
            walls.enter(room(settings), told)
        told = walls.told()
        serve(LabsSettings.read(told["settings"]), told["secrets"])
    except DarkroomError as problem:
        sys.stderr.write(f"hub: {problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
