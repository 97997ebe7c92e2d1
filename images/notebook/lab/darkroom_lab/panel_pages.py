"""The pages: who may see them, which headers go with them, and what each shows.

Titles, purposes, names of columns and reasons are other people's text: templates escape all of it, signs that hide or
reorder text are spelled out, and the policy of the page allows no script, style or picture but one file of ours each.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jinja2
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from darkroom_lab import panel_queries as queries
from darkroom_lab.panel_reading import NotReadError, Reading, home_facts
from darkroom_lab.panel_words import LANGUAGES, WORDS

HERE = Path(__file__).parent
PAGES = ("catalog", "jobs", "budget", "home", "help")
MOST_SHOWN = 200
LONGEST_SEARCH = 200
REFRESH_S = 4
_KINDS = {"panel.js": "text/javascript; charset=utf-8", "panel.css": "text/css; charset=utf-8"}


def legible(value: Any) -> Any:
    """Return text with signs escaped that reorder or hide what a person reads; line breaks and tabs stay."""
    if type(value) is not str:
        return value
    return "".join(
        c if c.isprintable() or c in "\n\t\u3000" else c.encode("unicode_escape").decode() for c in value
    )


TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=legible,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Page(JupyterHandler):
    """A page of the panel. Whoever is not signed in at this lab is told so, and is shown nothing."""

    auth_resource = "darkroom"

    def initialize(self, root: str, reading: Reading) -> None:
        """Keep where the panel lies, and whom it reads through."""
        self.root, self.reading = root, reading

    @property
    def nonce(self) -> str:
        """The word that marks this answer's own script and style."""
        if not hasattr(self, "_nonce"):
            self._nonce = secrets.token_urlsafe(16)
        return self._nonce

    @property
    def content_security_policy(self) -> str:
        """What a page may load: the script and the style that bear this answer's word, and nothing else."""
        mine = f"'nonce-{self.nonce}'"
        return (
            f"default-src 'none'; script-src {mine}; style-src {mine}; form-action 'self'; "
            "frame-ancestors 'self'; base-uri 'none'"
        )

    def set_default_headers(self) -> None:
        """Let nobody keep a page, and tell nobody where it was."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", self.content_security_policy)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")

    @property
    def language(self) -> str:
        """The lab's language, which the panel's frame passes on; else what the browser asks for."""
        said = self.get_query_argument("lang", "") or self.request.headers.get("Accept-Language", "")
        return "zh" if said.lower().startswith("zh") else "en"

    def word(self, key: str, **values: object) -> str:
        """Return words of the panel in the language of the page."""
        return WORDS[key][LANGUAGES.index(self.language)].format(**values)

    def link(self, path: str, **query: str) -> str:
        """Return an address within the panel, with the page's language and look."""
        kept = {"lang": self.language, "theme": self.theme}
        return f"{self.root}/{quote(path)}?{urlencode(kept | query)}"

    @property
    def theme(self) -> str:
        """Light or dark, as the lab is."""
        return "dark" if self.get_query_argument("theme", "") == "dark" else "light"

    def show(self, template: str, status: int = 200, **content: Any) -> None:
        """Answer with a page."""
        here = self.request.path.removeprefix(self.root + "/").split("/")[0]
        shown = TEMPLATES.get_template(template).render(
            t=self.word, link=self.link, lang=self.language, theme=self.theme, pages=PAGES, here=here,
            nonce=self.nonce, root=self.root, portal=portal_page(), **content,
        )  # fmt: skip
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(shown)

    def show_failure(self, failure: Any) -> None:
        """Answer with one sentence."""
        if failure.key:
            return self.show("failed.html", sentence=self.word(f"failed.{failure.key}"), next_step="")
        sentence, step = (queries.told(text, self.language) for text in (failure.sentence, failure.next_step))
        return self.show("failed.html", sentence=sentence, next_step=step)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with one sentence where something went wrong; what, is in the server's log and not on the page."""
        key = {403: "failed.forbidden", 404: "failed.not-found"}.get(status_code, "failed.defect")
        self.show("failed.html", status_code, sentence=self.word(key), next_step="")

    async def prepare(self) -> None:
        """Stop whoever is not signed in, before anything is read; a redirect would show a sign-in within the frame."""
        await super().prepare()
        if not self._finished and not self.current_user:
            self.show("failed.html", 403, sentence=self.word("failed.session"), next_step="")


def portal_page() -> str:
    """Return where the portal's pages are for the browser; empty where nobody said so in a form that is an address."""
    import os

    found = os.environ.get("DARKROOM_PORTAL_PAGE", "")
    return found.rstrip("/") if urlsplit(found).scheme in ("http", "https") else ""


class Start(Page):
    """Leads to the catalog."""

    @authorized
    async def get(self) -> None:
        """Redirect."""
        self.redirect(self.link("catalog"))


class Catalog(Page):
    """The datasets, and a search over their names and titles."""

    @authorized
    async def get(self) -> None:
        """Show those that hold every word that is searched for."""
        wanted = self.get_query_argument("q", "")[:LONGEST_SEARCH]
        try:
            found = await self.reading.of(lambda room: room.datasets())
        except NotReadError as problem:
            return self.show_failure(problem.failure)
        words = wanted.casefold().split()
        hits = [each for each in found if all(word in _searched(each) for word in words)]
        return self.show(
            "catalog.html", datasets=hits[:MOST_SHOWN], more=max(0, len(hits) - MOST_SHOWN), q=wanted
        )


def _searched(dataset: dict[str, Any]) -> str:
    return " ".join(
        str(dataset.get(name, "")) for name in ("dataset", "relation", "title", "domain")
    ).casefold()


class Dataset(Page):
    """One dataset: its columns, what each may be used for, and text to begin with."""

    @authorized
    async def get(self, dataset: str) -> None:
        """Show it."""
        try:
            found = await self.reading.of(lambda room: room.describe(dataset))
            columns = [queries.column(each) for each in found["columns"]]
        except NotReadError as problem:
            return self.show_failure(problem.failure)
        return self.show(
            "dataset.html",
            dataset=found,
            columns=columns,
            query=queries.query(found),
            sample=queries.sample(found),
            apply=queries.apply(found),
        )


class Jobs(Page):
    """The member's jobs, newest first."""

    @authorized
    async def get(self) -> None:
        """Show them; while one has not ended, the page is shown anew by itself."""
        try:
            found = await self.reading.of(
                lambda room: [queries.job(each, self.language) for each in room.jobs()]
            )
        except NotReadError as problem:
            return self.show_failure(problem.failure)
        refresh = REFRESH_S if any(not each.finished for each in found) else 0
        return self.show(
            "jobs.html", jobs=found[:MOST_SHOWN], more=max(0, len(found) - MOST_SHOWN), refresh=refresh
        )


class OneJob(Page):
    """One job: state, reasons, what would help."""

    @authorized
    async def get(self, number: str) -> None:
        """Show it."""
        try:
            found = await self.reading.of(lambda room: queries.job(room.job(number), self.language))
        except NotReadError as problem:
            return self.show_failure(problem.failure)
        return self.show("job.html", job=found, refresh=0 if found.finished else REFRESH_S)


class Budget(Page):
    """What the member's grants allow, as far as anybody may know."""

    @authorized
    async def get(self) -> None:
        """Show them."""
        try:
            found = await self.reading.of(lambda room: [queries.grant(each) for each in room.budget()])
        except NotReadError as problem:
            return self.show_failure(problem.failure)
        return self.show("budget.html", grants=found)


class Home(Page):
    """How full the home is."""

    @authorized
    async def get(self) -> None:
        """Show it."""
        self.show("home.html", home=home_facts(), refresh=0)


class Help(Page):
    """First steps."""

    @authorized
    async def get(self) -> None:
        """Show them."""
        self.show("help.html", steps=queries.STEPS)


class Static(Page):
    """The panel's one script and one style."""

    @authorized
    async def get(self, name: str) -> None:
        """Answer with the file; only names that the route knows come here."""
        if name not in _KINDS:
            raise web.HTTPError(404)
        self.set_header("Content-Type", _KINDS[name])
        self.finish((HERE / "static" / name).read_bytes())
