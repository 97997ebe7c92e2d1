"""Notebooks and scripts that tell a story; nothing of the product depends on them."""
