"""Sign-in at the Hub: by the portal, and nothing else (authorization code with PKCE).

The Hub has no passwords and no members of its own. Whoever the portal let in is a user here, nobody is an
administrator, and what the Hub may ask in a member's name is an entrance token that ends with the member's sign-out.
"""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.pages import SpawnHandler
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import (
    STATE_COOKIE_NAME,
    OAuthCallbackHandler,
    OAuthLoginHandler,
    OAuthLogoutHandler,
)
from tornado import web
from tornado.httpclient import HTTPClientError

from notebooks import ends
from notebooks.entrance import Portal
from notebooks.names import username_of
from plans.errors import DarkroomError


class NoTokens(BaseHandler):
    """In place of JupyterHub's page of tokens: a lab needs none, and the Hub is not for programs."""

    def get(self) -> None:
        """Say that there is no such page."""
        raise web.HTTPError(404, "There are no tokens of the Hub here. 此处不提供 Hub 令牌。")

    post = get


def state_cookie(handler: BaseHandler) -> str:
    """Return the name of the cookie that binds a sign-in to its browser.

    A `__Host-` one where the Hub's own is: else a lab's page could set it for the whole domain, and finish in somebody
    else's browser a sign-in that began in its own, who then works in a lab that is not theirs.
    """
    return ("__Host-" if handler.hub.cookie_name.startswith("__Host-") else "") + STATE_COOKIE_NAME


class Enter(OAuthLoginHandler):
    """The way to the portal."""

    def set_state_cookie(self, state_cookie_value: str) -> None:
        """Keep what the portal is to bring back."""
        self._set_cookie(state_cookie(self), state_cookie_value, expires_days=1, httponly=True)


class Arrive(OAuthCallbackHandler):
    """The way back from the portal."""

    def get_state_cookie(self) -> str:
        """Return what was kept, once."""
        if self._state_cookie is None:
            name = state_cookie(self)
            self._state_cookie = (self.get_secure_cookie(name) or b"").decode("utf8", "replace")
            self.clear_cookie(name)
        return str(self._state_cookie)


class Leave(OAuthLogoutHandler):
    """Sign-out: the session and the lab end here, then the entrance token, and the way goes on to the portal's.

    It is a link, as JupyterHub has it, so any page could send somebody here, and labs are one site with the Hub: a
    browser that says that it does not come from the Hub's own page is asked first.
    """

    async def get(self) -> None:
        """Sign out, or ask."""
        if self.request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            await super().get()
        else:
            self.finish(await self.render_template("leave.html"))

    async def default_handle_logout(self) -> None:
        """End the entrance token beside what JupyterHub ends, as long as it is known whose it is."""
        user = self.current_user
        kept = await user.get_auth_state() if user else None
        await super().default_handle_logout()
        if kept and kept.get("access_token"):
            with contextlib.suppress(DarkroomError):
                await self.authenticator.portal.end(str(kept["access_token"]))
            await user.save_auth_state(None)


class PortalAuthenticator(GenericOAuthenticator):
    """Members of the portal as users of the Hub."""

    portal: ClassVar[Portal]
    login_handler, callback_handler, logout_handler = Enter, Arrive, Leave

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Return the name at the Hub of the member that the portal names."""
        try:
            return username_of(str(user_info.get("name", "")))
        except DarkroomError:
            raise web.HTTPError(403, "The portal named nobody.") from None

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Nobody is an administrator of the Hub, whatever was before."""
        auth_model["admin"] = False
        return auth_model

    async def refresh_user(self, user: Any, handler: Any = None, **given: Any) -> Any:
        """Ask the portal whether this is a member still; while the portal is down what was known holds on.

        Nothing new begins meanwhile: a lab needs a token, which the portal makes.
        """
        if isinstance(handler, SpawnHandler):
            user.spawner.expect_start()
        if user.spawner.is_parting:
            return True  # the lab ends in a moment, and its pages are saving
        try:
            found = await super().refresh_user(user, handler, **given)
        except (HTTPClientError, OSError):
            return True
        if not found:
            user.spawner.look_again()
        return found

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """Return the pages of signing in and out, and what stands in place of JupyterHub's own."""
        return [*super().get_handlers(app), (r"/token", NoTokens), *ends.HANDLERS]
