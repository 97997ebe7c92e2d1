"""Composition and the operators' command line: `darkroom-server up, demo, ingest, doctor` and their like.

This is the only package that knows all the others. It starts and watches processes, reads settings and
hands them on; it holds no rule of its own.
"""
