"""Notebooks from which a researcher learns, as text: `README.md`."""
