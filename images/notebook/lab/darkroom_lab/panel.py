"""The panel in a lab: pages about the platform, made in the lab's own Jupyter server, shown beside the notebooks.

    <base_url>darkroom/catalog  jobs  budget  home  help     pages
    <base_url>darkroom/home.json                             how full the home is, and what the Hub has said of the lab
    <base_url>darkroom/notice                                the Hub says something of the lab (POST, with a key)
    <base_url>darkroom/make-job                              chosen cells of a saved notebook become a folder (POST)

What they show is read through the client, with the lab's token, as the member could in a cell. Showing a page asks the
platform to be told something and never runs, signs or spends anything.
"""

from __future__ import annotations

from typing import Any

from darkroom_lab import activity, notices
from darkroom_lab.panel_jobs import MakeJob
from darkroom_lab.panel_pages import (
    Budget,
    Catalog,
    Dataset,
    Help,
    Home,
    Jobs,
    OneJob,
    Start,
    Static,
)
from darkroom_lab.panel_reading import Reading

PLACE = "darkroom"

ROUTES = (
    (r"/?", Start),
    (r"/catalog", Catalog),
    (r"/catalog/([a-z0-9_/]{1,400})", Dataset),
    (r"/jobs", Jobs),
    (r"/jobs/([A-Za-z0-9_-]{1,64})", OneJob),
    (r"/budget", Budget),
    (r"/home", Home),
    (r"/help", Help),
    (r"/home\.json", notices.HomeFacts),
    (r"/make-job", MakeJob),
    (r"/notice", notices.Notice),
    (r"/static/(panel\.js|panel\.css)", Static),
)


def load(server_app: Any) -> None:
    """Add the panel to a running Jupyter server, and look after what the Hub counts and says."""
    notices.put_on(server_app)
    application = server_app.web_app
    root = application.settings["base_url"].rstrip("/") + f"/{PLACE}"
    kept = {"root": root, "reading": Reading()}
    application.add_handlers(".*$", [(root + path, handler, kept) for path, handler in ROUTES])
    activity.watch(application.settings)
