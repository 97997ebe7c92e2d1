"""Boxes: their tiers, images and runners, and the launcher, the small daemon that starts them.

The launcher is not a Ray process. It runs with its own user id and without third-party code beyond `keys`.
"""
