"""JupyterHub's configuration, as its own security guide asks for users who are not trusted (docs/notebooks.md has a
table of every setting and why).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from traitlets.config import Config

from notebooks.authenticator import PortalAuthenticator
from notebooks.entrance import Portal
from notebooks.names import host_of
from notebooks.settings import LabsSettings
from notebooks.spawner import LabSpawner, Neighbours

TEMPLATES = Path(__file__).parent / "templates"
HOUR_S, DAY_S = 3600, 86_400
LOOK_S = 10
"""How often it is looked whether a lab still lives and its member may still have it."""
SPAWNS_AT_ONCE = 200
"""Labs that wait or start at a time. They wait at the launcher, where a place in the line is told, so this is many."""

USER_SCOPES = (
    "read:users:name!user",
    "read:users:groups!user",
    "users:activity!user",
    "servers!user",
    "access:servers!user",
)
"""What a member may at the Hub: start and stop the own lab, enter it, and be known there by name (and groups, of which
there are none). No tokens, no shares, nobody else."""

SERVER_SCOPES = ("users:activity!user", "access:servers!server")
"""What the token of a lab's server may: say that it is used, and ask whether who comes may come."""

CULLER_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")


def configure(settings: LabsSettings, secrets: Mapping[str, str]) -> Config:
    """Return the configuration of the Hub."""
    neighbours = Neighbours(settings, secrets["oauth"])
    config = Config()
    _hub(config, settings, secrets)
    _cookies(config, settings, secrets)
    _roles(config)
    _sign_in(config, settings, secrets, neighbours.portal)
    _labs(config, settings, neighbours)
    _culler(config, settings)
    return config


def _hub(config: Config, settings: LabsSettings, secrets: Mapping[str, str]) -> None:
    hub = config.JupyterHub
    hub.log_level = "WARN"  # lines of single requests would say who opens what, when
    hub.db_url = f"sqlite:///{settings.hub_state}/hub.db"
    hub.upgrade_db = True
    hub.hub_ip, hub.hub_port = "127.0.0.1", settings.hub_port
    hub.bind_url = f"http://{settings.listen_host}:{settings.listen_port}"
    hub.subdomain_host = settings.address
    hub.subdomain_hook = host_of
    # Behind TLS there are two proxies, both on this machine; whom the outer one speaks for is what the log names.
    hub.trusted_downstream_ips = ["127.0.0.1"] if settings.behind_tls else []
    hub.cleanup_servers = hub.cleanup_proxy = False
    hub.allow_named_servers = False
    hub.concurrent_spawn_limit = SPAWNS_AT_ONCE
    hub.init_spawners_timeout = 5
    hub.template_paths = [str(TEMPLATES)]
    hub.template_vars = {"portal_page": settings.portal_page}
    hub.load_groups = {}
    hub.admin_access = False
    hub.authenticate_prometheus = True
    hub.shutdown_on_logout = True
    hub.tornado_settings = {
        "slow_spawn_timeout": 1,
        "slow_stop_timeout": 20,
        "headers": {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"},
    }
    proxy = config.ConfigurableHTTPProxy
    proxy.should_start = False
    proxy.api_url = f"http://127.0.0.1:{settings.proxy_port}"
    proxy.auth_token = secrets["proxy"]


def _cookies(config: Config, settings: LabsSettings, secrets: Mapping[str, str]) -> None:
    hub = config.JupyterHub
    hub.cookie_secret = bytes.fromhex(secrets["cookie"])
    hub.cookie_max_age_days = 1
    hub.cookie_host_prefix_enabled = settings.secure
    hub.tornado_settings["cookie_options"] = {"SameSite": "Lax", "secure": settings.secure}
    hub.oauth_require_pkce = True
    hub.oauth_token_expires_in = 12 * HOUR_S
    hub.token_expires_in_max_seconds = HOUR_S


def _roles(config: Config) -> None:
    config.JupyterHub.load_roles = [
        {"name": "user", "description": "The own lab", "scopes": list(USER_SCOPES)},
        {"name": "server", "description": "The server of a lab", "scopes": list(SERVER_SCOPES)},
        {"name": "culler", "scopes": list(CULLER_SCOPES), "services": ["culler"]},
    ]


def _sign_in(config: Config, settings: LabsSettings, secrets: Mapping[str, str], portal: Portal) -> None:
    config.JupyterHub.authenticator_class = type(
        "PortalSignIn", (PortalAuthenticator,), {"portal": portal, "__module__": __name__}
    )
    config.CryptKeeper.keys = [bytes.fromhex(secrets["state"])]
    sign_in = config.OAuthenticator
    sign_in.client_id, sign_in.client_secret = "labs", secrets["oauth"]
    sign_in.authorize_url = f"{settings.portal_page}/oauth/authorize"
    sign_in.token_url = f"{settings.portal}/oauth/token"
    sign_in.userdata_url = f"{settings.portal}/api/v1/labs/me"
    sign_in.oauth_callback_url = f"{settings.address}/hub/oauth_callback"
    sign_in.logout_redirect_url = f"{settings.portal_page}/sign-in?next=/labs"
    sign_in.scope = ["labs"]
    sign_in.enable_pkce = sign_in.basic_auth = True
    sign_in.login_service = "Darkroom 暗室"
    sign_in.allow_all = True  # the portal decided already
    sign_in.auto_login = True
    sign_in.enable_auth_state = True
    sign_in.auth_refresh_age = 60
    sign_in.auth_refresh_strict = True
    sign_in.refresh_pre_spawn = True
    sign_in.admin_users = set()
    sign_in.username_pattern = r"[a-z][a-z0-9._-]*@[a-z0-9_.]+"


def _labs(config: Config, settings: LabsSettings, neighbours: Neighbours) -> None:
    config.JupyterHub.spawner_class = type(
        "Labs", (LabSpawner,), {"neighbours": neighbours, "__module__": __name__}
    )
    lab = config.Spawner
    lab.ip, lab.hub_connect_url = "127.0.0.1", "http://127.0.0.1:8081"  # as seen in the box
    lab.env_keep, lab.environment = [], {}
    lab.disable_user_config = True
    lab.default_url = "/lab"
    lab.server_token_scopes = list(SERVER_SCOPES)
    lab.oauth_client_allowed_scopes = []
    lab.start_timeout = settings.wait_s + settings.answer_s + 120
    lab.http_timeout = 60
    lab.poll_interval = min(LOOK_S, settings.membership_s)
    lab.consecutive_failure_limit = 0
    lab.apply_user_options = _read_by_the_start


def _read_by_the_start(spawner: LabSpawner, options: dict[str, str]) -> None:
    """Change nothing: what was chosen counts when the portal has said what may be chosen."""


def _culler(config: Config, settings: LabsSettings) -> None:
    idle, age = settings.idle_hours * HOUR_S, settings.age_days * DAY_S
    config.JupyterHub.services = [
        {
            "name": "culler",
            "command": [
                sys.executable, "-P", "-m", "jupyterhub_idle_culler",
                f"--timeout={idle}", f"--max-age={age}", f"--cull-every={min(300, max(idle // 4, 1))}",
            ],
        }
    ]  # fmt: skip
