"""Two of the Hub's addresses about a lab's end: where the culler asks for one, and where a lab's page asks why.

A page of a lab lies under a host of its own, where the Hub's cookie does not come. It shows the key that it was given
while the lab lived (`plans.labs.notice_key`), and is told one sentence for it.
"""

from __future__ import annotations

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers import BaseHandler
from jupyterhub.scopes import needs_scope
from tornado import web


class Culled(UserServerAPIHandler):
    """JupyterHub's own, but where a service (the culler) ends a lab that runs: its pages are told, and save first."""

    @needs_scope("delete:servers")
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """End a lab: at once for its member, in a moment for the culler."""
        user = self.find_user(user_name)
        if isinstance(self.current_user, orm.Service) and user is not None and user.spawner.ready:
            await user.spawner.cull()
            self.set_status(202)
        else:
            await super().delete(user_name, server_name)


class LabEnded(BaseHandler):
    """Why a lab ended, for its own pages."""

    def get(self) -> None:
        """Answer with the sentence in both languages; 404 to everybody who does not have that lab's key."""
        user = self.find_user(self.get_query_argument("user", ""))
        why = user.spawner.why_ended(self.get_query_argument("key", "")) if user is not None else None
        if why is None:
            raise web.HTTPError(404)
        self.set_header("Cache-Control", "no-store")
        self.finish(why)


HANDLERS = [(r"/api/users/([^/]+)/server", Culled), (r"/lab-ended", LabEnded)]
