"""The Jupyter server of a lab, started by the lab's runner (`inside.lab_server`).

    python3 -I -S -B /box/darkroom_lab/serve.py      descriptor 3: a socket to the runner

It imports all that a server needs, and waits: nobody's server, without a home, a name or a token. Then one line comes,
with its environment and its folder, and it becomes JupyterHub's single-user server with JupyterLab; as soon as it
listens it says `R`. Settings are here and in `share/jupyter/lab/settings`; a file of the member's cannot change them.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from typing import Any

CONTROL = 3
LISTENS = b"R"

LARGEST_BODY = 192 * 2**20
"""Bytes of a request at the most: a document that is a little too large can still be refused with a sentence."""

EXTENSIONS = {"jupyterlab": True, "jupyter_server_terminals": True, "darkroom_lab": True}

BEFOREHAND = (
    "jupyterhub.singleuser.extension",
    "jupyterlab.labapp",
    "jupyterlab.extensions.readonly",
    "jupyter_server_terminals.app",
    "jupyter_server_terminals.handlers",
    "jupyter_server.kernelspecs.handlers",
    "jupyter_server.view.handlers",
    "jupyter_server.nbconvert.handlers",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server.services.kernels.connection.channels",
    "jupyter_client.provisioning.local_provisioner",
    "jupyter_client.provisioning.factory",
    "jupyter_core.migrate",
    "jinja2.ext",
    "tornado.platform.asyncio",
    "terminado",
    "json5",
    "babel",
    "nbformat.v4",
    "darkroom_lab.documents",
)
"""What a server imports when it starts or at its first visit, besides what these import."""


def main() -> None:
    """Import, wait, and serve until the end."""
    here = os.path.dirname(os.path.abspath(__file__))
    box = os.path.dirname(here)
    # The panel asks by the client, which goes before the `darkroom` of jobs, as it does in kernels.
    sys.path[:] = [os.path.join(box, "client"), box, *(place for place in sys.path if place != here)]
    from darkroom_lab import lean

    lean.put_on()
    for name in BEFOREHAND:
        importlib.import_module(name)
    control = socket.socket(fileno=CONTROL)
    os.set_inheritable(CONTROL, False)
    with control.makefile("rb") as told:
        line = told.readline()
    if not line:
        return  # the runner is gone
    message = json.loads(line)
    os.environ.clear()
    os.environ.update(message["environment"])
    os.chdir(message["folder"])
    serve(control)


def serve(control: socket.socket) -> None:
    """Start the server, and say so."""
    from jupyterhub.singleuser.extension import JupyterHubSingleUser

    JupyterHubSingleUser.serverapp_config = {"jpserver_extensions": dict(EXTENSIONS)}
    server = JupyterHubSingleUser.initialize_server(argv=[], config=settings())
    control.sendall(LISTENS)
    server.start()


def settings() -> Any:
    """Return the server's settings."""
    from jupyterlab.handlers.announcements import NeverCheckForUpdate
    from traitlets.config import Config

    from darkroom_lab.documents import Documents

    shell = [os.environ["SHELL"], "--rcfile", os.path.join(os.path.dirname(__file__), "share", "bashrc")]
    config = Config()
    config.ServerApp.root_dir = os.getcwd()
    config.ServerApp.allow_root = True  # at T2 the box's only user has the number 0
    config.ServerApp.contents_manager_class = Documents
    config.ServerApp.max_body_size = config.ServerApp.max_buffer_size = LARGEST_BODY
    config.ServerApp.terminado_settings = {"shell_command": shell}
    config.ServerApp.log_level = "WARN"
    config.ConnectionFileMixin.transport = "ipc"
    config.TemplateExporter.extra_template_basedirs = []  # else the server's own folder, and templates are programs
    config.LabApp.extension_manager = "readonly"
    config.LabApp.news_url = None
    config.LabApp.check_for_updates_class = NeverCheckForUpdate
    # read from the environment when the module is imported, which was before there was one
    config.HubAuth.base_url = os.environ.get("JUPYTERHUB_SERVICE_PREFIX") or "/"
    # the server's own token; kernels and terminals have no use for it, and people print environments into documents
    for name in ("JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN"):
        if token := os.environ.pop(name, ""):
            config.HubAuth.api_token = token
    if os.environ.get("JUPYTERHUB_API_URL"):
        config.HubAuth.api_url = os.environ["JUPYTERHUB_API_URL"]
    return config


if __name__ == "__main__":
    main()
