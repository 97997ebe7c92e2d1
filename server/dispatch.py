"""`python -P -m server.dispatch <home>`: the dispatcher's process, the driver of the local Ray.

It also moves joint computations, and takes the heads of the audit log to the keepers, who witness them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from cluster import api as cluster
from compute.dispatcher import Dispatcher, Settings
from compute.joint_running import JointRunner, JointSettings, agent_of
from plans.errors import DarkroomError
from server import witnessing
from server.enrolment import open_store
from server.images import work_house
from server.settings import box_limits, open_log
from server.site import Site, open_site
from store import api as store


def main() -> int:
    """Dispatch until told to stop; exit with 75 when the cluster was lost, so that a new one is started."""
    os.umask(0o077)
    site = open_site(Path(sys.argv[1]))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return _run(site, stop)
    except DarkroomError as problem:
        sys.stderr.write(f"dispatcher: {problem}\n")
        return problem.exit_code


def _run(site: Site, stop: threading.Event) -> int:
    settings = store.load_settings(site.settings)
    limits = box_limits(settings)
    log = open_log(site)
    house = work_house(limits)
    # Two boxes that run side by side are one task, so the cluster must be as large as any two of them.
    cpus = max(os.cpu_count() or 1, max(limit.cpus for limit in limits.values()) * 2)
    memory = max(limit.memory_mb for limit in limits.values()) * 2
    settings_of_jobs = Settings(
        house,
        site.results,
        lambda domain: site.owner(domain).launcher_home,
        settings.limits.attempts,
        workers=cpus + 32,
        at_once=cpus,
    )
    dispatcher = Dispatcher(open_store(site), log, settings_of_jobs)
    witness = threading.Thread(target=witnessing.witness_often, args=(site, log, stop), daemon=True)
    runner = JointRunner(
        open_store(site),
        log,
        JointSettings(
            house, agent_of(lambda domain: site.owner(domain).agent_door), settings.limits.attempts
        ),
    )
    parties = threading.Thread(target=runner.work, args=(stop,), daemon=True)
    with cluster.local_cluster(cpus, memory, site.ray):
        cluster.warm_up()
        witness.start()
        parties.start()
        dispatcher.work(stop)
    return 75 if dispatcher.lost.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
