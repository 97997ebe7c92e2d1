"""The researcher's room: JupyterHub, and what stands between it and the boxes in which labs live (docs/notebooks.md)."""
