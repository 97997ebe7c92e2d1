"""Options that the commands of an owner's desk share: each once, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path, typer.Option(help="Folder of the installation.", envvar="DARKROOM_SERVER_HOME")]
Domain = Annotated[str, typer.Option(help="The owning domain.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_HOME = Path("darkroom-home")
