"""`python -P -m server.web <home>`: the API's process. It holds no data key and no row, and imports no engine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from compute.joint import JointService
from compute.service import JobService
from keeper.api import KeeperClient
from plans.errors import DarkroomError
from plans.statements import Signed
from portal import api as portal
from server.enrolment import open_store
from server.images import work_house
from server.settings import box_limits, open_log, portal_labs, portal_limits, portal_site
from server.site import Site, open_site
from store import api as store


@dataclass(frozen=True, slots=True)
class KeeperDirectory:
    """Finds the keeper of a domain in the centre's database; what it answers is signed, so the way does not matter."""

    database: store.Database

    def submit(self, domain: str, signed: Signed) -> None:
        """Hand a statement to a domain's keeper."""
        with self.database.reading() as session:
            row = store.domains.get(session, domain)
        KeeperClient(Path(row.keeper_socket)).submit(signed)


def services(site: Site, settings: store.Settings) -> portal.Services:
    """Return what the portal stands on."""
    database, log = open_store(site), open_log(site)
    house, most = work_house(box_limits(settings)), settings.limits.jobs_per_member
    return portal.Services(
        database=database,
        log=log,
        jobs=JobService(database, log, site.results, most, house),
        joint=JointService(database, log, most, house),
        keepers=KeeperDirectory(database),
        site=portal_site(settings),
        limits=portal_limits(settings),
        labs=portal_labs(site, settings),
    )


def main() -> int:
    """Serve on the address of the settings until told to stop."""
    os.umask(0o077)
    try:
        site = open_site(Path(sys.argv[1]))
        settings = store.load_settings(site.settings)
        app = portal.create_app(services(site, settings))
    except DarkroomError as problem:
        sys.stderr.write(f"api: {problem}\n")
        return problem.exit_code
    # Access lines would hold ids of jobs and datasets of every member; the audit log is where accesses are
    # recorded.
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        # Peers stay who they are: labs are known by it. Whom a proxy speaks for is read in `portal.addresses`.
        proxy_headers=False,
        # Calls that wait for a job would hold up the end; their clients ask again.
        timeout_graceful_shutdown=1,
        log_level="warning",
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
