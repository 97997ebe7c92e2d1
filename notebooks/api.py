"""What other rooms use of `notebooks`: its settings, and where its proxy is. Importing it loads no JupyterHub."""

from __future__ import annotations

from notebooks.proxy import program as proxy_program
from notebooks.settings import SECRETS, LabsSettings

__all__ = ["SECRETS", "LabsSettings", "proxy_program"]
