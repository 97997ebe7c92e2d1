"""What other rooms use of `store`.

database = store.open_database(settings.database_url)
store.migrate(database)
with database.session() as session:            # one transaction: commit at the end, roll back on an error
    job = store.jobs.get(session, job_id)      # `get` raises NotFound, `find` returns none
    store.jobs.move(session, job.id, "queued", "running", stage="query")
with database.reading() as session:            # never waits for writers, refuses to write
    rows = store.manifests.all_current(session)
"""

from __future__ import annotations

from store import (
    applications,
    domains,
    folders,
    jobs,
    joint,
    manifests,
    members,
    projects,
    sessions,
    statements,
)
from store.applications import ApplicationRow
from store.database import Database, Session, open_database
from store.domains import DomainRow
from store.jobs import JobRow
from store.joint import JointRow
from store.lab_settings import Labs, Profile
from store.loading import load_settings
from store.manifests import ManifestRow
from store.members import MemberRow
from store.migrate import migrate
from store.projects import ProjectRow
from store.reference import settings_reference
from store.sessions import SessionRow
from store.settings import Limits, Settings
from store.statements import StatementRow

__all__ = [
    "ApplicationRow",
    "Database",
    "DomainRow",
    "JobRow",
    "JointRow",
    "Labs",
    "Limits",
    "ManifestRow",
    "MemberRow",
    "Profile",
    "ProjectRow",
    "Session",
    "SessionRow",
    "Settings",
    "StatementRow",
    "applications",
    "domains",
    "folders",
    "jobs",
    "joint",
    "load_settings",
    "manifests",
    "members",
    "migrate",
    "open_database",
    "projects",
    "sessions",
    "settings_reference",
    "statements",
]
