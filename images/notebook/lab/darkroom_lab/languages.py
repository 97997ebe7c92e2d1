"""JupyterLab in the language that the member's browser asks for, until the member chooses one.

JupyterLab's setting is "default" then, and its server takes the machine's language for that. A box has none; its one
member has a browser that says which languages it reads. A language that the member chose in JupyterLab's menu stays.
"""

from __future__ import annotations

from typing import Any

ENGLISH = "en"
PACKS = {"en": ENGLISH, "zh": "zh_CN"}
"""What the image has, by the beginnings of what browsers call languages."""


def asked_for(header: str) -> str:
    """Return the first language of an `Accept-Language` that there is here; English where there is none."""
    wanted: list[tuple[float, str]] = []
    for part in header.lower().split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), name.strip()))
        except ValueError:
            continue
    for _, name in sorted(wanted, key=lambda pair: pair[0]):
        if pack := PACKS.get(name.split("-")[0]):
            return pack
    return ENGLISH


def put_on() -> None:
    """Have JupyterLab's server take the browser's language for the machine's, at every request that depends on it."""
    from jupyterlab_server import settings_utils, translations_handler

    def of_request(handler: Any) -> str:
        return asked_for(handler.request.headers.get("Accept-Language", ""))

    current = settings_utils.SchemaHandler.get_current_locale
    translations = translations_handler.TranslationsHandler.get

    def get_current_locale(handler: Any) -> str:
        settings_utils.SYS_LOCALE = of_request(handler)
        return current(handler)

    async def get(handler: Any, locale: str | None = None) -> None:
        translations_handler.SYS_LOCALE = of_request(handler)
        await translations(handler, locale)

    settings_utils.SchemaHandler.get_current_locale = get_current_locale
    translations_handler.TranslationsHandler.get = get
