"""The six nouns (plan, decision, key, box, verdict, release) and the signed statements, as frozen values.

Standard library only: keepers, launchers, boxes, the centre and members' own machines all read these same
files, so that "the same bytes" means the same thing on every side.
"""
