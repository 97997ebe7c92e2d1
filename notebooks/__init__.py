"""The researcher's room: JupyterHub, and what stands between it and the boxes of labs (docs/notebooks.md)."""
