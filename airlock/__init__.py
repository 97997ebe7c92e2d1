"""Inspecting outputs, and releasing exactly the bytes that were judged.

The rules are pure (`airlock.rules` runs inside the judging box): minimum groups in persons, rounding,
suppression. When in doubt the answer is to hold or to refuse.
"""
