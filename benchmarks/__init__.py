"""The measurements behind docs/performance.md; each file runs by itself, `--json` gives one line for
machines.
"""
